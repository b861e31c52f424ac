#!/bin/bash
# The reference walk of 40_walks again, asked by confined programs: with the shim, which is taught ways
# and leaves opens to Landlock, and static ones, which the trap server answers alone. What names mean
# and which error comes first is the same as outside; the policy allows all that is asked here.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/trap.sh"
trap_needed
confine_needed
. "$SOURCE/tests/session/walks.sh"
walkers_build
WALKS_OPTIONS=(--confine)

if [[ -n ${HIRSEL_TEST_SEED:-} ]]; then
    for agents in python,python @walker,python @walker,@walker.musl; do
        walks "$HIRSEL_TEST_SEED" "$agents"
        walks "$HIRSEL_TEST_SEED" "$agents" --no-shadows
    done
    finish
fi
for seed in 11 12 13; do walks "$seed" python,python; done
walks 21 python,python --no-shadows
walks 14 @walker,python
walks 15 @walker,@walker.musl
walks 22 @walker.dynamic,@walker --no-shadows
# Seeds of chance are for make check-long: a check says the same each time.
agents=(python,python @walker,python @walker,@walker.musl python,@walker.dynamic)
for ((i = 0; i < ${LONG:+12} + 0; i++)); do
    walks "$((RANDOM * 32768 + RANDOM + 100000))" "${agents[i % 4]}" $( ((i % 3)) || echo --no-shadows)
done
finish
