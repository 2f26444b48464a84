# shellcheck shell=sh
# The Nix settings the fixtures are built and read with: source it (sh, bash,
# dash) or `eval "$(cat native-fixtures/env.sh)"`.
#
# Everything goes through the environment: an installed Nix and its nix.conf
# stay as they are. NIX_CONFIG is read after nix.conf and so wins over it.
#
#  sandbox = false      the builders use the host's gcc, make, perl and apt
#  build-users-group =  single user, no nixbld group is needed
#  substitute = false   nothing is ever asked of a binary cache
#  max-jobs, cores      two derivations at a time; 0 = every core of the machine
#  NIX_REMOTE=local     the store directly, also where a daemon is installed
case "${NIX_CONFIG-}" in
*storefree-fixtures*) ;;
*)
  NIX_CONFIG="${NIX_CONFIG:+$NIX_CONFIG
}# storefree-fixtures
sandbox = false
build-users-group =
substitute = false
substituters =
extra-experimental-features = nix-command flakes
max-jobs = 2
cores = 0"
  ;;
esac
NIX_REMOTE=local
export NIX_CONFIG NIX_REMOTE
