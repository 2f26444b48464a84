# nix bundle --bundler URL#oci nixpkgs#nginx, where URL is that of the npm archive, or path: and a checkout that is built.
{
  description = "Turns a program built with Nix into a bundle that runs where there is no Nix";

  # By the registry, where many have the nixpkgs that they have already.
  inputs.nixpkgs.url = "nixpkgs";

  outputs = { self, nixpkgs }:
    let
      systems = builtins.filter (system: nixpkgs.legacyPackages ? ${system})
        [ "x86_64-linux" "aarch64-linux" "riscv64-linux" "x86_64-darwin" "aarch64-darwin" ];
      each = make: builtins.listToAttrs (map (system: { name = system; value = make nixpkgs.legacyPackages.${system}; }) systems);
      # With its last argument: callPackage makes an attribute set of it, and flakes want functions.
      bundle = pkgs: arguments: target: pkgs.callPackage ./. arguments target;
    in
    {
      # bundle pkgs { format = "oci"; options = [ "--user" "1001:0" ]; } pkgs.nginx; also of pkgs.pkgsCross.riscv64.nginx.
      lib.bundle = bundle;

      packages = each (pkgs: rec {
        storefree = pkgs.callPackage ./nix/package.nix { };
        default = storefree;
      });

      bundlers = each (pkgs: rec {
        default = tarball;
        tarball = bundle pkgs { format = "tar.gz"; };
        tar = bundle pkgs { format = "tar"; };
        dir = bundle pkgs { format = "dir"; };
        oci = bundle pkgs { format = "oci"; };
        deb = bundle pkgs { format = "deb"; };
        exe = bundle pkgs { format = "exe"; };
      });

      # pkgs.storefree; pkgs.storefreeBundle { format = "oci"; } pkgs.nginx
      overlays.default = final: prev: {
        storefree = final.callPackage ./nix/package.nix { };
        storefreeBundle = arguments: bundle final ({ inherit (final) storefree; } // arguments);
      };

      # That a bundle starts, and that of its archive too nothing is left.
      checks = each (pkgs: {
        bundle = pkgs.stdenvNoCC.mkDerivation {
          name = "storefree-check";
          nativeBuildInputs = [ self.packages.${pkgs.stdenvNoCC.hostPlatform.system}.storefree ];
          buildCommand = ''
            for program in ${bundle pkgs { } pkgs.hello}/bin/*; do "$program" > /dev/null; done
            bundle verify ${bundle pkgs { format = "tar.gz"; } pkgs.hello} > $out
          '';
        };
      });
    };
}
