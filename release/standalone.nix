# The command with its Node, as a package that can be bundled: `bin/bundle` is a script of a Node whose libraries are beside it.
# Made by release.mjs, on Debian; files are copied and none of another CPU is run.
{ version, node, tool, libraries, loader }:
derivation {
  name = "storefree-${version}";
  system = builtins.currentSystem;
  builder = "/bin/bash";
  PATH = "/usr/bin:/bin";
  inherit version loader;
  node = builtins.path { name = "node"; path = node; };
  libraries = builtins.path { name = "libraries"; path = libraries; };
  tool = builtins.path { name = "tool"; path = tool; };
  args = [ "-ec" ''
    own=$out/lib/storefree
    mkdir -p $out/bin $own
    mkdir $own/dist
    cp $tool/dist/*.cjs $tool/dist/page.* $own/dist/
    cp $libraries/* $own/
    cp $node $own/node
    chmod -R u+w $own
    chmod 755 $own/node
    patchelf --set-interpreter $own/$loader --force-rpath --set-rpath $own $own/node
    printf '%s\n' "#!$own/node" "require('../lib/storefree/dist/cli.cjs')" > $out/bin/bundle
    chmod +x $out/bin/bundle
    ln -s bundle $out/bin/storefree
  '' ];
}
