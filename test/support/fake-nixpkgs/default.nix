# As much of nixpkgs as the Nix files of this project use; programs are this machine's.
{ ... }:
let
  fixtures = import ../../../native-fixtures { };
  system = builtins.currentSystem;
  lib = {
    isDerivation = value: (value.type or "") == "derivation";
    getBin = package: package.bin or package;
    assertMsg = ok: message: if ok then true else throw message;
    escapeShellArgs = args: builtins.concatStringsSep " " (map (a: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString a)}'") args);
  };
  stdenvNoCC.mkDerivation = arguments: derivation ({
    inherit system;
    builder = "/bin/bash";
    args = [ "-e" ./builder.sh ];
  } // arguments);
  nodejs = derivation {
    name = "nodejs";
    inherit system;
    builder = "/bin/bash";
    args = [ "-c" "/bin/mkdir -p $out/bin; /bin/ln -s ${builtins.getEnv "STOREFREE_TEST_NODE"} $out/bin/node" ];
  };
  callPackage = file: arguments:
    let
      function = if builtins.isFunction file then file else import file;
      wanted = builtins.functionArgs function;
      given = builtins.intersectAttrs wanted all;
    in
    function (given // arguments);
  all = fixtures // { inherit lib stdenvNoCC nodejs callPackage; };
in
all
