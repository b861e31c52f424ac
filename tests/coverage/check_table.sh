#!/bin/bash
# The coverage table is complete and up to date.
export PYTHONDONTWRITEBYTECODE=1
exec "$(dirname "$0")/generate" --check
