#!/bin/bash
# timeout: 240
# The reference walk of 40_walks again, asked by static programs that go through the trap server: two
# C libraries, system calls of all ages, alone and next to a program with the shim, each of which
# changes what the other one knows.
# HIRSEL_TEST_SEED=N walks with this seed alone; HIRSEL_TEST_QUERIES=N says how many are asked.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
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
    if timeout 200 python3 "$compare" "$WORK" --seed "$seed" --queries "$queries" --agents "${agents//@/$BARE/}" "$@" >out 2>&1; then
        ok "seed $seed${*:+ }$*, ${agents//@/}: $(sed -n 's/^# seed [0-9]*: //p' out)"
    else
        not_ok "seed $seed${*:+ }$*, ${agents//@/}"
        grep -av ': up;' out | head -60 | cut -c1-600
    fi
    [[ ! -d $WORK/w$seed ]] || { chmod -R u+rwx "$WORK/w$seed" && rm -rf "$WORK/w$seed"; }
}

# A seed of chance is for make check-long: a check says the same each time.
seed=${HIRSEL_TEST_SEED:-31}
[[ -z $LONG ]] || seed=${HIRSEL_TEST_SEED:-$((RANDOM + 1000))}
if [[ -z ${HIRSEL_TEST_SEED:-} ]]; then
    walks 11 @walker,python --native
    walks 11 @walker,python
    walks 12 @walker,@walker.musl
    walks 13 python,@walker.musl
    walks 21 @walker.dynamic,@walker --no-shadows
    walks 22 @walker,python --no-shadows
fi
walks "$seed" @walker,python
walks "$((seed + 1))" @walker,@walker.musl $( ((seed % 2)) || echo --no-shadows)
for ((i = 0; i < ${LONG:+8} + 0; i++)); do
    walks "$((RANDOM * 32768 + RANDOM + 100000))" @walker,python $( ((i % 3)) || echo --no-shadows)
done
finish
