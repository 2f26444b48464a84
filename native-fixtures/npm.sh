#!/usr/bin/env bash
# Installs the npm packages whose programs the campaign of test/long/npm.test.ts bundles, as npm/package-lock.json has
# them (sha512 each), without running their scripts.
#
# They lie in ${XDG_CACHE_HOME:-~/.cache}/storefree/npm-LOCK/node_modules, whatever the clone; LOCK is the beginning of
# the lock file's sha256. That directory goes to standard output.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/storefree
lock=$(sha256sum < "$here/npm/package-lock.json")
directory=$cache/npm-${lock:0:16}

if [ ! -e "$directory" ]; then
  printf 'Installing npm packages\n' >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.installing.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  cp "$here"/npm/package*.json "$work"
  (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund > /dev/null)
  mv "$work" "$directory"
fi
printf '%s\n' "$directory"
