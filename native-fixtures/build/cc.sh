#!/bin/sh
# The compiler as a package sees it: Debian's, made to link as nixpkgs'
# cc-wrapper does. The flags come from the environment and not from the
# command line, so that no program records store paths as its "compiled with"
# text (nginx -V, openssl version -a, bashbug).
#   NIX_CFLAGS_COMPILE  -isystem of every dependency's headers
#   NIX_LDFLAGS         -L and -rpath of every dependency, the store's ld.so
case ${0##*/} in
c++ | g++) real=/usr/bin/g++ ;;
*) real=/usr/bin/gcc ;;
esac

# `cc -v`, `cc --version` and the like have no input: link flags alone would
# make gcc try to link nothing and fail.
link=yes
input=no
for arg; do
  case $arg in
  -c | -S | -E | -M | -MM | -fsyntax-only) link=no ;;
  -) input=yes ;;
  -*) ;;
  *) input=yes ;;
  esac
done

# Debian's gcc links --as-needed, nixpkgs' does not.
# Word splitting is meant: the variables are lists of flags.
# shellcheck disable=SC2086
if [ $link = yes ] && [ $input = yes ]; then
  exec $real $NIX_CFLAGS_COMPILE -Wl,--no-as-needed "$@" $NIX_LDFLAGS
else
  exec $real $NIX_CFLAGS_COMPILE "$@"
fi
