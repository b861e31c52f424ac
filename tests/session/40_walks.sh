#!/bin/bash
# Random walks in sessions, each against a slow reference walk (tests/session/walks): a table with
# binds, hidden names, symlinks and translators' nodes, and paths that lead there through host
# symlinks, "..", relative paths, dirfds and renames.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/session/walks.sh"
[[ -n $LONG ]] || queries=${HIRSEL_TEST_QUERIES:-5000}

# The reference is right about the kernel, with no session at all.
walks "${HIRSEL_TEST_SEED:-1}" python,python --native
if [[ -n ${HIRSEL_TEST_SEED:-} ]]; then
    walks "$HIRSEL_TEST_SEED" python,python --no-shadows
    walks "$HIRSEL_TEST_SEED" python,python
    finish
fi
for seed in 11 12 13; do walks "$seed" python,python; done
for seed in 21 22; do walks "$seed" python,python --no-shadows; done
walks 31 python,python
# Seeds of chance are for make check-long: a check says the same each time.
for ((i = 0; i < ${LONG:+15} + 0; i++)); do
    walks "$((RANDOM * 32768 + RANDOM + 100000))" python,python $( ((i % 3)) || echo --no-shadows)
done
finish
