#!/bin/bash
# The same as 55_confine.sh, where hirsel run --confine is typed in a session.
NESTED=1 exec bash "$(dirname "$0")/55_confine.sh"
