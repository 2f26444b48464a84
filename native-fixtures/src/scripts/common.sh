# shellcheck shell=bash
# Sourced, not run; has a store path of its own.
say() { printf '%s: %s\n' "$1" "$2"; }
scripts_version=$(< @out@/share/scripts/version.txt)
