# Programs in Python and Perl, in the shape nixpkgs gives such packages.
{ make, base, upstream, full }:
let
  inherit (base) glibc;
  inherit (upstream) bash;
  inherit (full) python3 perl coreutils;
  package = args: make.package ({
    inherit glibc bash;
    version = "1.0";
    wrappers = make.file ../build/wrappers.sh;
    texts = make.file ../src/apps;
  } // args);
in
rec {
  # A Python package that pyapp needs: its directory is on no path but the one
  # the wrapper's line adds.
  pyapp-lib = package {
    pname = "python3.11-pyapp-lib";
    inherit python3;
    script = ''
      site=$out/lib/python3.11/site-packages
      mkdir -p $site
      cp $texts/pyapp_lib.py $site/
      echo "hello from pyapp_lib" > $site/pyapp_lib.txt
      find $out -exec touch -h -d @1 {} +
      env -u SOURCE_DATE_EPOCH $python3/bin/python3.11 -m compileall -q \
        --invalidation-mode timestamp $site
    '';
  };

  # wrapPythonPrograms' three parts: the script under its hidden name, the line
  # it puts into the script, and the wrapper.
  pyapp = package {
    pname = "pyapp";
    mainProgram = "pyapp";
    inherit python3 coreutils;
    lib = pyapp-lib;
    script = ''
      . $wrappers
      mkdir -p $out/bin $out/share/pyapp $out/lib/python3.11/site-packages
      echo "data of pyapp" > $out/share/pyapp/data.txt
      for wrapper in make_wrapper:pyapp-sh make_binary_wrapper:pyapp; do
        program=''${wrapper#*:}
        {
          echo "#!$python3/bin/python3.11"
          printf '%s' "import sys;import site;import functools;sys.argv[0] = '$out/bin/$program';"
          printf '%s' "functools.reduce(lambda k, p: site.addsitedir(p, k), ['$out/lib/python3.11/site-packages','$lib/lib/python3.11/site-packages'], site._init_pathinfo());"
          echo
          sed "1d; s|@out@|$out|g" $texts/pyapp.py
        } > $out/bin/.$program-wrapped
        chmod +x $out/bin/.$program-wrapped
        ''${wrapper%:*} $out/bin/.$program-wrapped $out/bin/$program \
          --prefix PATH : $python3/bin:$coreutils/bin \
          --set PYTHONNOUSERSITE true \
          --set PYAPP_HOME $out/share/pyapp
      done
    '';
  };

  plapp = package {
    pname = "plapp";
    mainProgram = "plapp";
    inherit perl;
    script = ''
      mkdir -p $out/bin $out/share/plapp $out/lib/perl5/site_perl
      echo "data of plapp" > $out/share/plapp/data.txt
      cp $texts/PlApp.pm $out/lib/perl5/site_perl/
      sed "s|@out@|$out|g; s|@perl@|$perl|g" $texts/plapp.pl > $out/bin/plapp
      chmod +x $out/bin/plapp
    '';
  };
}
