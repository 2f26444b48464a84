# A small nixpkgs of its own: packages with nixpkgs' names, outputs and file
# shapes, built in minutes on a Debian 12 machine with no binary cache.
#
#   NIX_PATH=nixpkgs=native-fixtures nix-build '<nixpkgs>' -A nginx --no-out-link
#
# (setup.sh prepares the machine, env.sh has the Nix settings, README.md says
# what each attribute is for.)
#
# Every input is copied to the store under a fixed name, so that all clones of
# this repository have the same store paths, wherever they are.
{ ... }:
let
  make = import ./build/make.nix;
  base = import ./pkgs/base.nix { inherit make; };
  upstream = import ./pkgs/upstream.nix { inherit make base; };
  programs = import ./pkgs/programs.nix { inherit make base; };
  scripts = import ./pkgs/scripts.nix { inherit make base upstream programs; };

  packages = base // upstream // programs // scripts;
in
packages // {
  # Links to every output of every package: one derivation to build them all.
  all = make.farm "storefree-fixtures" packages;
}
