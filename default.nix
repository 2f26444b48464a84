# nix-build -E 'with import <nixpkgs> { }; callPackage ./. { } nginx'
{ callPackage, storefree ? callPackage ./nix/package.nix { }, format ? "dir", options ? [ ] }:
callPackage ./nix/bundle.nix { inherit storefree format options; }
