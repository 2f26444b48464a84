# The command: one JavaScript file and what starts it. It needs no node_modules.
{ lib, stdenvNoCC, nodejs }:
assert lib.assertMsg (builtins.pathExists ../dist/cli.cjs)
  "storefree: dist/ is not built: run npm ci in this checkout, or take the npm archive";
stdenvNoCC.mkDerivation {
  name = "storefree-${(builtins.fromJSON (builtins.readFile ../package.json)).version}";
  buildCommand = ''
    mkdir -p $out/bin $out/lib/storefree
    cp -r ${../bin} $out/lib/storefree/bin
    cp -r ${../dist} $out/lib/storefree/dist
    cp ${../package.json} $out/lib/storefree/package.json
    for name in bundle storefree; do
      printf '#!/bin/sh\nexec %s %s "$@"\n' ${nodejs}/bin/node $out/lib/storefree/bin/bundle.js > $out/bin/$name
      chmod +x $out/bin/$name
    done
  '';
}
