# The helpers the packages are written with.
rec {
  # One file or directory as an input, under a name of its own: the store path
  # then depends on the content alone.
  file = path: builtins.path { name = baseNameOf path; inherit path; };

  compiler = derivation {
    name = "cc-wrapper-fixture";
    system = "x86_64-linux";
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    cc = file ./cc.sh;
    args = [ "-ec" ''
      mkdir -p $out/bin
      cp $cc $out/bin/cc
      chmod 555 $out/bin/cc
      for name in gcc c++ g++; do ln -s cc $out/bin/$name; done
    '' ];
  };

  # The upstream tarball of a Debian source package. Its content depends on the
  # day it is fetched, its store path does not: what was built once is reused.
  fetch = package: derivation {
    name = "${package}-source";
    system = "x86_64-linux";
    builder = "/bin/bash";
    PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
    args = [ (file ./fetch.sh) ];
    inherit package;
  };

  # derivation {...} with nixpkgs' conventions. Besides the arguments below,
  # every attribute is a variable of the build (build/builder.sh).
  package =
    { pname
    , version
    , script              # shell commands
    , deps ? [ ]          # packages whose headers and libraries are used
    , outputs ? [ "out" ]
    , mainProgram ? null  # what `nix run` would run
    , ...
    }@args:
    derivation ((removeAttrs args [ "pname" "version" "script" "deps" "mainProgram" ]) // {
      name = "${pname}-${version}";
      system = "x86_64-linux";
      builder = "/bin/bash";
      args = [ (file ./builder.sh) ];
      PATH = "${compiler}/bin:/usr/bin:/bin";
      buildScript = script;
      includes = map (dep: dep.dev or dep.out) deps;
      libs = map (dep: dep.out) deps;
      inherit outputs;
    }) // {
      inherit pname version;
      meta = (if mainProgram == null then { } else { inherit mainProgram; }) // {
        outputsToInstall = [ (if builtins.elem "bin" outputs then "bin" else "out") ];
      };
    };

  # A directory of links, NAME or NAME.OUTPUT, to all outputs of the packages.
  farm = name: packages:
    let
      links = builtins.concatLists (builtins.attrValues (builtins.mapAttrs
        (attr: drv: map
          (output: "${drv.${output}} ${attr}${if output == "out" then "" else ".${output}"}")
          drv.outputs)
        packages));
    in
    derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      links = builtins.concatStringsSep "\n" links;
      args = [ "-ec" ''
        mkdir $out
        printf '%s\n' "$links" | while read -r target link; do
          ln -s "$target" "$out/$link"
        done
      '' ];
    };
}
