#!/usr/bin/env bash
# Fetches the Mach-O files of npm packages that the tests read: programs and libraries that Apple's, LLVM's and Go's
# tools have linked and signed. npm install refuses packages for another system, npm pack does not.
#
# They lie in ${XDG_CACHE_HOME:-~/.cache}/storefree/macho, one directory a package, whatever the clone. A package is
# taken only when its sha512 is the one below, which is that of the registry (`dist.integrity`).
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/storefree/macho
packages=(
  @esbuild/darwin-arm64@0.28.2 n4KqkOQrraxHJcgjM1RvwbigfQKIKJVpM7xp+KsxiyUSrRdIXnt73VhrPAx0fV44hgfmIVKjxMN9J1t5jySVkw==
  @img/sharp-libvips-darwin-arm64@1.3.4 5R89nBYiRdUlSWJxPhO+GVtaXzXSxKnRu/xqMn3KTA3L9EB9Oy/P+Nn2f2vlhPuUdy/Zusb2DarbyTpGCfEDuw==
  @rolldown/binding-darwin-arm64@1.3.3 6pMLYsUiQJXPkUj/CG447hOBKtbe+hjWw/wbxe/mucoPKgnLSVRTzey7s0kXfqrjxhDd3gQ2hj6lgUKRumsIzw==
  @biomejs/cli-darwin-arm64@2.5.15 BZVzFhJ/mUvTLMYbc9x6el0o2Uv5zP7bACYyhFb6fSc1giroXm7PL0a5KqMJ9F+/BnkYRjagD/ROSDVOZ6eapg==
  fsevents@2.3.3 5xoDfX+fL7faATnagmWPpbFtwh/R77WmMMqqHGS65C3vvB0YHrgF+B1YmZ3441tMj5n63k0212XNoJwzlhffQw==
)

for ((i = 0; i < ${#packages[@]}; i += 2)); do
  package=${packages[i]}
  directory=${package#@}
  directory=$cache/${directory//[\/@]/-}
  [ ! -e "$directory" ] || continue
  printf 'Fetching %s\n' "$package" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.fetching.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent "$package" > /dev/null)
  found=$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)
  [ "$found" = "${packages[i + 1]}" ] || {
    printf 'macho.sh: %s has sha512 %s, not %s\n' "$package" "$found" "${packages[i + 1]}" >&2
    exit 1
  }
  tar -xzf "$work"/*.tgz -C "$work" --strip-components=1
  rm "$work"/*.tgz
  mv "$work" "$directory"
done
