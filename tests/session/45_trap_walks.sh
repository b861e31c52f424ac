#!/bin/bash
# The reference walk of 40_walks again, asked by static programs that go through the trap server: two
# C libraries, system calls of all ages, alone and next to a program with the shim, each of which
# changes what the other one knows.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
. "$SOURCE/tests/session/walks.sh"
walkers_build

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
