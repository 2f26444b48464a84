# shellcheck shell=bash disable=SC2154 # the variables come from the derivation
# Downloads the upstream tarball of one Debian source package into $out.
#
# No hash is fixed: Debian's mirrors drop a version as soon as it is
# superseded, and a fixture that cannot be fetched any more is worth nothing.
# apt checks the signature of the archive and the hash of the tarball.
#
# The lists are private to this build ($PWD): the machine's apt is not touched.
set -euo pipefail
export LC_ALL=C

deb822=/etc/apt/sources.list.d/debian.sources
sources=$PWD/src.list
if [ -e "$deb822" ]; then
  sources=$PWD/src.sources
  sed 's/^Types:.*/Types: deb-src/' "$deb822" > "$sources"
elif grep -qsE '^deb .*debian' /etc/apt/sources.list; then
  sed -nE 's/^deb (.*debian.*)/deb-src \1/p' /etc/apt/sources.list > "$sources"
else
  echo 'deb-src http://deb.debian.org/debian bookworm main' > "$sources"
fi

state=$PWD
mkdir -p lists/partial cache/archives/partial
apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$sources" -o Dir::Etc::sourceparts=- \
    -o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
    -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}
apt update

# --tar-only: Debian's own patches are not used, and some mirrors answer 404
# for the security archive's .dsc and .debian.tar.xz.
mkdir "$out"
cd "$out"
apt --download-only --tar-only source "$package" ||
  apt --download-only --tar-only source "$package/bookworm"
rm -f ./*.asc
ls ./*.orig.tar.* > /dev/null
