# shellcheck shell=bash
# Sourced by 90_bad_input.sh inside a mount name space, with the session's folder on 2 MiB.
. "$SOURCE/tests/session/lib.sh"
seq 10 >small.txt && seq 1000000 >big.txt && mkdir -p d && mv small.txt big.txt d && tar cf d.tar d
session_start full
check 'full disk: a node' hirsel settrans --session full -c full.node archive "$WORK/d.tar"
in_session cat full.node/d/big.txt >out.big 2>err
status=$?
if ((status == 1)) && grep -q 'No space left' err; then ok 'full disk: ENOSPC to the one caller'; else
    not_ok "full disk: status $status"
    show err
fi
prints 'full disk: others are served' "$(seq 10)" in_session cat full.node/d/small.txt
# Full to the last byte: no name space, no node's folder can be made; what is there goes on.
head -c 3M /dev/zero >"$XDG_RUNTIME_DIR/../filler" 2>/dev/null
prints 'full to the last byte: what was there is served' "$(seq 10)" in_session cat full.node/d/small.txt
hirsel settrans --session full -c other.node archive "$WORK/d.tar" >out 2>&1
timeout 90 hirsel run --session full -- cat other.node/d/small.txt >out 2>&1
status=$?
if ((status != 124)); then ok "full to the last byte: an answer in bounded time (status $status)"; else not_ok 'full to the last byte: no answer'; fi
rm "$XDG_RUNTIME_DIR/../filler"
prints 'space again: all is served again' "$(seq 10)" in_session cat full.node/d/small.txt
session_stop full
