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

  # The packages on one C library: `glibc` where it is given, else Debian's.
  set = arguments: rec {
    base = import ./pkgs/base.nix ({ inherit make; } // arguments);
    upstream = import ./pkgs/upstream.nix { inherit make base; };
    programs = import ./pkgs/programs.nix { inherit make base; };
    scripts = import ./pkgs/scripts.nix { inherit make base upstream programs; };
    packages = base // upstream // programs // scripts;
  };

  small = set { };

  # The larger set: all of the above once more, on a glibc built from source,
  # and the packages that take longer.
  large = set { glibc = import ./pkgs/glibc.nix { inherit make; }; };
  more = import ./pkgs/full.nix { inherit make; inherit (large) base upstream; };
  apps = import ./pkgs/apps.nix { inherit make; inherit (large) base upstream; full = more; };
  full = large.packages // more // apps;
in
small.packages // {
  # Links to every output of every package: one derivation to build them all.
  all = make.farm "storefree-fixtures" small.packages;

  inherit full;
  full-all = make.farm "storefree-fixtures-full" full;
}
