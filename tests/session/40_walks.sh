#!/bin/bash
# Random walks in sessions, each against a slow reference walk (tests/session/walks): a table with
# binds, hidden names, symlinks and translators' nodes, and paths that lead there through host
# symlinks, "..", relative paths, dirfds and renames.
# HIRSEL_TEST_SEED=N walks with this seed alone; HIRSEL_TEST_QUERIES=N says how many are asked.
. "$(dirname "$0")/lib.sh"
export PYTHONDONTWRITEBYTECODE=1
compare=$SOURCE/tests/session/walks/compare.py
queries=${HIRSEL_TEST_QUERIES:-5000}
[[ -n $LONG ]] && queries=20000

walks() {
    local seed=$1
    shift
    if timeout 120 python3 "$compare" "$WORK" --seed "$seed" --queries "$queries" "$@" >out 2>&1; then
        ok "seed $seed${*:+ }$*: $(sed -n 's/^# seed [0-9]*: //p' out)"
    else
        not_ok "seed $seed${*:+ }$*"
        grep -av ': up;' out | head -60 | cut -c1-600
    fi
}

# The reference is right about the kernel, with no session at all.
walks "${HIRSEL_TEST_SEED:-1}" --native
if [[ -n ${HIRSEL_TEST_SEED:-} ]]; then
    walks "$HIRSEL_TEST_SEED" --no-shadows
    [[ ! -d $WORK/w$HIRSEL_TEST_SEED ]] || { chmod -R u+rwx "$WORK/w$HIRSEL_TEST_SEED" && rm -rf "$WORK/w$HIRSEL_TEST_SEED"; }
    walks "$HIRSEL_TEST_SEED"
    finish
fi
for seed in 11 12 13; do walks "$seed"; done
for seed in 21 22; do walks "$seed" --no-shadows; done
walks 31
# Seeds of chance are for make check-long: a check says the same each time.
for ((i = 0; i < ${LONG:+15} + 0; i++)); do
    walks "$((RANDOM * 32768 + RANDOM + 100000))" $( ((i % 3)) || echo --no-shadows)
done
finish
