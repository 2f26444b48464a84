#!/usr/bin/env bash
# The main job, from nothing: builds nginx with Nix, bundles it, unpacks the tarball into an empty root without /nix,
# starts nginx there and fetches its page. Needs root on Debian 12; says what it installs.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
bundle() { node "$here/../bin/bundle.js" "$@"; }
step() { printf '\n== %s\n' "$*"; }

step "nginx and what it needs, built by Nix into /nix/store"
bash "$here/setup.sh" nginx
# shellcheck source=native-fixtures/env.sh
. "$here/env.sh"
export NIX_PATH="nixpkgs=$here"

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT
# nginx's workers have to reach it from inside their root.
chmod 755 "$work"
cd "$work"

step "bundle nginx"
bundle nginx | tee summary
archive=$(echo nginx-*.tar.gz)

step "bundle verify $archive"
bundle verify "$archive"

step "unpacked into an empty root: the bundle, /bin/sh, /proc, /dev; no /nix"
mkdir -p root/bin root/srv root/tmp root/proc root/dev
tar xzf "$archive" -C root/srv
cp "$(command -v busybox)" root/bin/sh
tree=$(cd root/srv && echo nginx-*)
if grep -rlaF /nix/store root; then
  echo "demo: these files still name the store" >&2
  exit 1
fi
echo "grep -rlaF /nix/store: nothing"

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
cat > root/tmp/nginx.conf << CONF
daemon off; pid /tmp/nginx.pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e;
  server { listen 127.0.0.1:$port; location / { root html; } }
}
CONF
# The root has no user database, so nginx runs as a plain user of its own.
chmod 777 root/tmp
bwrap --unshare-pid --unshare-user --uid 1000 --gid 1000 --die-with-parent --bind root / --proc /proc --dev /dev \
  -- "/srv/$tree/bin/nginx" -c /tmp/nginx.conf > nginx.log 2>&1 &
server=$!

for _ in $(seq 100); do
  if curl -fsS "http://127.0.0.1:$port/" > page 2> /dev/null; then break; fi
  kill -0 "$server" 2> /dev/null || break
  sleep 0.1
done
grep -q 'Welcome to nginx' page || {
  echo "demo: no page came; nginx said:" >&2
  cat nginx.log >&2
  exit 1
}
echo "GET http://127.0.0.1:$port/ -> $(grep -o '<h1>.*</h1>' page)"

step "done"
cat summary
