# As much of nixpkgs as the Nix files of this project use; programs are this machine's.
{ system ? builtins.currentSystem, node ? builtins.getEnv "STOREFREE_TEST_NODE", ... }:
let
  fixtures = import ../../../native-fixtures { };
  lib = {
    isDerivation = value: (value.type or "") == "derivation";
    getBin = package: package.bin or package;
    assertMsg = ok: message: if ok then true else throw message;
    escapeShellArgs = args: builtins.concatStringsSep " " (map (a: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString a)}'") args);
  };
  stdenvNoCC = {
    hostPlatform = { inherit system; };
    mkDerivation = arguments: derivation ({
      inherit system;
      builder = "/bin/bash";
      args = [ "-e" ./builder.sh ];
    } // arguments);
  };
  nodejs = derivation {
    name = "nodejs";
    inherit system;
    builder = "/bin/bash";
    args = [ "-c" "/bin/mkdir -p $out/bin; /bin/ln -s ${node} $out/bin/node" ];
  };
  callPackage = file: arguments:
    let
      function = if builtins.isFunction file then file else import file;
      wanted = builtins.functionArgs function;
      given = builtins.intersectAttrs wanted all;
      made = function (given // arguments);
    in
    # As makeOverridable does.
    if builtins.isFunction made then { override = _: made; __functor = _: made; } else made;
  all = fixtures // { inherit lib stdenvNoCC nodejs callPackage; hello = fixtures.multicall; };
in
all
