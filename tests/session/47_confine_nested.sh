#!/bin/bash
# The same as 47_confine.sh, where hirsel run --confine is typed in a session.
# timeout: 600
NESTED=1 exec bash "$(dirname "$0")/47_confine.sh"
