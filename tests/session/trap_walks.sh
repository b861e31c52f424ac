# What the walks by programs without the shim share: the programs, and `walks`. To be read after
# trap.sh. HIRSEL_TEST_QUERIES=N says how many are asked of each seed.
# shellcheck shell=bash
# WALKS_OPTIONS: what all walks of a test have in common.
WALKS_OPTIONS=()
export PYTHONDONTWRITEBYTECODE=1
compare=$SOURCE/tests/session/walks/compare.py
queries=${HIRSEL_TEST_QUERIES:-3000}
[[ -n $LONG ]] && queries=20000

program walker walker gcc -static
program walker.musl walker musl-gcc -static
program walker.dynamic walker gcc

# walks SEED AGENT,AGENT [OPTION…]
walks() {
    local seed=$1 agents=$2
    shift 2
    if timeout 200 python3 "$compare" "$WORK" "${WALKS_OPTIONS[@]}" --seed "$seed" --queries "$queries" --agents "${agents//@/$BARE/}" "$@" >out 2>&1; then
        ok "seed $seed${*:+ }$*, ${agents//@/}: $(sed -n 's/^# seed [0-9]*: //p' out)"
    else
        not_ok "seed $seed${*:+ }$*, ${agents//@/}"
        grep -av ': up;' out | head -60 | cut -c1-600
    fi
    [[ ! -d $WORK/w$seed ]] || { chmod -R u+rwx "$WORK/w$seed" && rm -rf "$WORK/w$seed"; }
}
