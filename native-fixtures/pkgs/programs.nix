# Small programs of our own, each for one shape of package.
{ make, base }:
let
  inherit (base) glibc libstdcxx;
  package = { sources, ... }@args: make.package ({ inherit glibc; version = "1.0"; } // args // {
    sources = map (name: make.file (../src + "/${name}")) sources;
  });

  # One dlopened library, `path`, whose speak() returns `says` and, where there
  # is `data`, what it reads from a file of its package.
  plugin = { pname, path, says, data ? null }: package {
    inherit pname path says data;
    sources = [ "plugin.c" ];
    script = ''
      mkdir -p $out/$(dirname $path)
      if [ -n "$data" ]; then
        mkdir -p $out/share/$name
        echo "$data" > $out/share/$name/data.txt
      fi
      cc -O2 -Wall -fPIC -shared -Wl,-soname,''${path##*/} -DSAYS="\"$says\"" \
        ''${data:+-DDATA="\"$out/share/$name/data.txt\""} -o $out/$path plugin.c
    '';
  };

  twin = colour: package {
    pname = "twin-${colour}";
    inherit colour;
    sources = [ "twin.c" ];
    script = ''
      mkdir -p $out/lib
      cc -O2 -Wall -fPIC -shared -Wl,-soname,libtwin.so.1 -DCOLOUR="\"$colour\"" \
        -o $out/lib/libtwin.so.1 twin.c
      ln -s libtwin.so.1 $out/lib/libtwin.so
    '';
  };
in
rec {
  probe = package {
    pname = "probe";
    mainProgram = "probe";
    sources = [ "probe.c" ];
    script = ''
      mkdir -p $out/bin
      cc -O2 -Wall -o $out/bin/probe probe.c
    '';
  };

  multicall = package {
    pname = "multicall";
    mainProgram = "multicall";
    sources = [ "multicall.c" ];
    script = ''
      mkdir -p $out/bin $out/sbin $out/libexec/multicall
      cc -O2 -Wall -o $out/bin/multicall multicall.c
      ln -s multicall $out/bin/alpha
      ln -s multicall $out/bin/beta
      ln -s $out/bin/multicall $out/bin/gamma
      ln -s ../bin/multicall $out/sbin/delta
      ln -s ../../bin/multicall $out/libexec/multicall/epsilon
    '';
  };

  cxx = package {
    pname = "cxx";
    mainProgram = "cxx";
    deps = [ libstdcxx ];
    sources = [ "cxx.cpp" "cxxgreet.cpp" "cxxgreet.hpp" ];
    script = ''
      mkdir -p $out/bin $out/lib
      c++ -O2 -Wall -fPIC -shared -Wl,-soname,libcxxgreet.so \
        -o $out/lib/libcxxgreet.so cxxgreet.cpp
      c++ -O2 -Wall -pthread -o $out/bin/cxx cxx.cpp -L$out/lib -lcxxgreet
    '';
  };

  codec = plugin {
    pname = "codec";
    path = "lib/libcodec.so.1";
    says = "codec from libcodec.so.1";
  };

  noted = plugin {
    pname = "noted";
    path = "lib/libnoted.so.1";
    says = "noted from libnoted.so.1";
  };

  plugin-extra = plugin {
    pname = "plugin-extra";
    path = "lib/plugins/extra.so";
    says = "extra from another package";
    data = "with data of its own";
  };

  plugin-host = package {
    pname = "plugin-host";
    mainProgram = "plugin-host";
    deps = [ codec noted ];
    # Nothing is NEEDED from codec and noted, so shrinking would drop their
    # directories; nixpkgs adds them back by hand in such packages.
    keepRpath = true;
    extra = plugin-extra;
    sources = [ "plugin-host.c" "plugin.c" ];
    script = ''
      mkdir -p $out/bin $out/lib/plugins
      cc -O2 -Wall -fPIC -shared -DSAYS='"hello from its own package"' \
        -o $out/lib/plugins/hello.so plugin.c
      cc -O2 -Wall -DHELLO="\"$out/lib/plugins/hello.so\"" \
        -DEXTRA="\"$extra/lib/plugins/extra.so\"" -o $out/bin/plugin-host plugin-host.c
    '';
  };

  twin-red = twin "red";
  twin-blue = twin "blue";

  twins = package {
    pname = "twins";
    red = twin-red;
    blue = twin-blue;
    sources = [ "twin-main.c" "twin-user.c" "twin-both.c" ];
    # Not through deps: each file is linked to one of the twins only.
    script = ''
      mkdir -p $out/bin $out/lib
      for colour in red blue; do
        twin="-L''${!colour}/lib -ltwin -Wl,-rpath,''${!colour}/lib"
        cc -O2 -Wall -o $out/bin/$colour twin-main.c $twin
        cc -O2 -Wall -fPIC -shared -DUSER=user_$colour -Wl,-soname,libuser-$colour.so \
          -o $out/lib/libuser-$colour.so twin-user.c $twin
      done
      cc -O2 -Wall -o $out/bin/both twin-both.c -L$out/lib -luser-red -luser-blue \
        -Wl,--allow-shlib-undefined
    '';
  };

  tools = package {
    pname = "tools";
    outputs = [ "bin" "dev" "out" "doc" ];
    mainProgram = "tool";
    sources = [ "tool.c" "tool-x.c" "tool-x.h" ];
    script = ''
      mkdir -p $bin/bin $dev/include $out/lib $out/share/tools $doc/share/doc/tools
      cp tool-x.h $dev/include/
      echo "what tools reads" > $out/share/tools/data.txt
      echo "The tool command prints one line of data." > $doc/share/doc/tools/README
      cc -O2 -Wall -fPIC -shared -Wl,-soname,libtool-x.so.1 \
        -DDATA="\"$out/share/tools/data.txt\"" -o $out/lib/libtool-x.so.1 tool-x.c
      ln -s libtool-x.so.1 $out/lib/libtool-x.so
      cc -O2 -Wall -o $bin/bin/tool tool.c -L$out/lib -ltool-x
    '';
  };
}
