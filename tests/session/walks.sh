# What the random walks share. To be read after lib.sh.
# HIRSEL_TEST_SEED=N walks with this seed alone; HIRSEL_TEST_QUERIES=N says how many are asked of each.
# shellcheck shell=bash
# WALKS_OPTIONS: what all walks of a test have in common.
WALKS_OPTIONS=()
export PYTHONDONTWRITEBYTECODE=1
queries=${HIRSEL_TEST_QUERIES:-3000}
[[ -n $LONG ]] && queries=20000

# The agents that no shim is in, and one that it can be in. After trap.sh.
walkers_build() {
    program walker walker gcc -static
    program walker.musl walker musl-gcc -static
    program walker.dynamic walker gcc
}

# walks SEED AGENT,AGENT [OPTION…]; @ in an agent is the folder of the programs.
walks() {
    local seed=$1 agents=$2
    shift 2
    if timeout 200 python3 "$SOURCE/tests/session/walks/compare.py" "$WORK" "${WALKS_OPTIONS[@]}" --seed "$seed" --queries "$queries" --agents "${agents//@/${BARE:-}/}" "$@" >out 2>&1; then
        ok "seed $seed${*:+ }$*, ${agents//@/}: $(sed -n 's/^# seed [0-9]*: //p' out)"
    else
        not_ok "seed $seed${*:+ }$*, ${agents//@/}"
        grep -av ': up;' out | head -60 | cut -c1-600
    fi
    [[ ! -d $WORK/w$seed ]] || { chmod -R u+rwx "$WORK/w$seed" && rm -rf "$WORK/w$seed"; }
}
