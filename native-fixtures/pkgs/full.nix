# The packages only the larger set has: what git, perl and python need. As in
# upstream.nix, but with libraries found on the host ruled out one by one: more
# of these configure scripts look for such.
{ make, base, upstream }:
let
  inherit (base) glibc libxcrypt;
  inherit (upstream) zlib pcre2 openssl ncurses readline bash;
  package = args: make.package ({
    inherit glibc bash;
    PKG_CONFIG = "/bin/false";
  } // args);

  # configure, make, make install.
  simple = { flags ? "", script ? "", ... }@args: package (removeAttrs args [ "flags" ] // {
    script = ''
      unpack
      ./configure --prefix=$out --disable-nls ${flags}
      make -j$jobs MAKEINFO=true
      make install MAKEINFO=true
      trim $out
    '' + script;
  });
in
rec {
  bzip2 = package {
    pname = "bzip2";
    version = "1.0.8";
    mainProgram = "bzip2";
    outputs = [ "bin" "dev" "out" ];
    src = make.fetch "bzip2";
    script = ''
      unpack
      make -f Makefile-libbz2_so CC=cc
      mkdir -p $bin/bin $dev/include $out/lib
      cc -O2 -o $bin/bin/bzip2 bzip2.c -L. -l:libbz2.so.1.0
      for name in bunzip2 bzcat; do ln -s bzip2 $bin/bin/$name; done
      cp bzlib.h $dev/include/
      cp libbz2.so.1.0.8 $out/lib/
      ln -s libbz2.so.1.0.8 $out/lib/libbz2.so.1.0
      ln -s libbz2.so.1.0 $out/lib/libbz2.so.1
      ln -s libbz2.so.1 $out/lib/libbz2.so
    '';
  };

  xz = package {
    pname = "xz";
    version = "5.4.1";
    mainProgram = "xz";
    outputs = [ "bin" "dev" "out" ];
    src = make.fetch "xz-utils";
    script = ''
      unpack
      ./configure --prefix=$out --bindir=$bin/bin --includedir=$dev/include \
        --disable-static --disable-nls --disable-doc --disable-lzmadec --disable-lzmainfo --disable-scripts
      make -j$jobs
      make install
      trim $out
    '';
  };

  libffi = package {
    pname = "libffi";
    version = "3.4.4";
    outputs = [ "out" "dev" ];
    src = make.fetch "libffi";
    script = ''
      unpack
      # Without multi-os: it would install to the compiler's lib/../lib64.
      ./configure --prefix=$out --includedir=$dev/include --disable-static \
        --disable-docs --disable-multi-os-directory
      make -j$jobs
      make install
      trim $out
    '';
  };

  sqlite = package {
    pname = "sqlite";
    version = "3.40.1";
    mainProgram = "sqlite3";
    outputs = [ "bin" "dev" "out" ];
    deps = [ zlib readline ncurses ];
    src = make.fetch "sqlite3";
    # The amalgamation, which upstream's other tarball has ready.
    script = ''
      unpack
      ./configure --disable-tcl --disable-readline
      make sqlite3.c shell.c
      mkdir -p $bin/bin $dev/include $out/lib
      features="-DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_COLUMN_METADATA
        -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_SECURE_DELETE -DSQLITE_THREADSAFE=1"
      cc -O2 $features -fPIC -shared -Wl,-soname,libsqlite3.so.0 -o $out/lib/libsqlite3.so.0.8.6 sqlite3.c -lm
      ln -s libsqlite3.so.0.8.6 $out/lib/libsqlite3.so.0
      ln -s libsqlite3.so.0.8.6 $out/lib/libsqlite3.so
      cc -O2 $features -DHAVE_READLINE=1 -DSQLITE_HAVE_ZLIB -o $bin/bin/sqlite3 shell.c \
        -L$out/lib -lsqlite3 -lreadline -lncursesw -lz
      cp sqlite3.h src/sqlite3ext.h $dev/include/
    '';
  };

  coreutils = package {
    pname = "coreutils";
    version = "9.1";
    src = make.fetch "coreutils";
    # One program and a hundred links to it, as nixpkgs has it.
    script = ''
      unpack
      FORCE_UNSAFE_CONFIGURE=1 ./configure --prefix=$out --enable-single-binary=symlinks \
        --disable-nls --disable-acl --disable-xattr --disable-libcap \
        --without-selinux --without-libgmp --with-openssl=no
      nothing="SUBDIRS=. man1_MANS= dist_man1_MANS= MAKEINFO=true"
      make -j$jobs $nothing
      make $nothing install-exec
      trim $out
    '';
  };

  gnused = simple {
    pname = "gnused";
    version = "4.9";
    mainProgram = "sed";
    src = make.fetch "sed";
    flags = "--disable-acl --disable-i18n --without-selinux";
  };

  gnugrep = simple {
    pname = "gnugrep";
    version = "3.8";
    mainProgram = "grep";
    deps = [ pcre2 ];
    src = make.fetch "grep";
    PCRE_CFLAGS = " ";
    PCRE_LIBS = "-lpcre2-8";
    script = ''
      for pair in egrep:-E fgrep:-F; do
        printf '#!/bin/sh\nexec %s %s "$@"\n' $out/bin/grep ''${pair#*:} > $out/bin/''${pair%:*}
      done
    '';
  };

  gawk = package {
    pname = "gawk";
    version = "5.2.1";
    src = make.fetch "gawk";
    # Debian's tarball lacks the manual's sources, of which awklib is made too.
    script = ''
      unpack
      ./configure --prefix=$out --disable-nls --disable-mpfr --without-readline
      sed -i '/^SUBDIRS/s/ extras doc awklib po test$//' Makefile
      make -j$jobs
      make install
      rm -rf $out/bin/{gawkbug,gawk-*} $out/etc
      trim $out
    '';
  };

  less = package {
    pname = "less";
    version = "590";
    mainProgram = "less";
    deps = [ ncurses ];
    src = make.fetch "less";
    script = ''
      unpack
      ./configure --prefix=$out --sysconfdir=/etc
      make -j$jobs
      make install
      trim $out
    '';
  };

  # With its translations: the C library's gettext reads share/locale, whose
  # path is compiled in.
  hello = package {
    pname = "hello";
    version = "2.10";
    mainProgram = "hello";
    src = make.fetch "hello";
    script = ''
      unpack
      touch man/hello.1 hello.1 2> /dev/null || true
      ./configure --prefix=$out
      make -j$jobs MAKEINFO=true HELP2MAN=true
      make install MAKEINFO=true HELP2MAN=true
      trim $out
    '';
  };

  curl = package {
    pname = "curl";
    version = "7.88.1";
    mainProgram = "curl";
    outputs = [ "bin" "dev" "out" ];
    deps = [ zlib openssl ];
    src = make.fetch "curl";
    script = ''
      unpack
      ./configure --prefix=$out --bindir=$bin/bin --includedir=$dev/include --disable-static \
        --with-openssl --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --without-ca-path \
        --disable-ldap --disable-ldaps --disable-manual --without-brotli --without-zstd \
        --without-libpsl --without-libidn2 --without-librtmp --without-libssh2 \
        --without-nghttp2 --without-gssapi
      make -j$jobs -C lib
      make -j$jobs -C src
      for part in include lib src; do make -C $part install; done
      trim $out
    '';
  };

  perl = package {
    pname = "perl";
    version = "5.36.0";
    mainProgram = "perl";
    inherit libxcrypt;
    src = make.fetch "perl";
    # The libraries by name: Configure would also take the host's gdbm and db.
    script = ''
      unpack
      export NIX_LDFLAGS="$NIX_LDFLAGS -L$libxcrypt/lib -Wl,-rpath,$libxcrypt/lib"
      bash Configure -de -Dcc=cc -Uinstallusrbinperl -Dinstallstyle=lib/perl5 \
        -Duseshrplib -Dusethreads -Dprefix=$out -Dinc_version_list=none \
        -Dman1dir=none -Dman3dir=none \
        -Dlocincpth=" " -Dloclibpth=" " -Dlibpth="$glibc/lib $libxcrypt/lib" \
        -Dlibswanted="pthread dl m crypt util c" \
        -Dnoextensions="DB_File GDBM_File NDBM_File ODBM_File" \
        -Dmyhostname=nixpkgs -Dmydomain=.invalid -Dperladmin=root@nixpkgs \
        -Dcf_by=nixpkgs -Dcf_email=root@nixpkgs -Dcf_time="Tue Jan  1 00:00:00 UTC 1980"
      make -j$jobs
      make install.perl
      find $out \( -name '*.pod' -o -name .packlist \) -delete
      find $out -type d -empty -delete
    '';
  };

  python3 = package {
    pname = "python3";
    version = "3.11.2";
    mainProgram = "python3.11";
    deps = [ zlib openssl sqlite libffi readline ncurses bzip2 xz ];
    inherit libxcrypt;
    src = make.fetch "python3.11";
    # The time stamps of sources in the store are 1, and so must be those that
    # the .pyc files record, or none of them would be used.
    script = ''
      unpack
      export NIX_LDFLAGS="$NIX_LDFLAGS -L$libxcrypt/lib -Wl,-rpath,$libxcrypt/lib"
      # setup.py looks for libraries in the directories of these.
      for dir in $includes; do flags_include+=" -I$dir/include"; done
      for dir in $libs; do flags_lib+=" -L$dir/lib"; done
      flags_lib+=" -L$libxcrypt/lib"
      # Not from the host, and no Tk.
      printf '%s\n' '*disabled*' _tkinter _gdbm _dbm nis _uuid > Modules/Setup.local
      sed -i 's/[$](PYTHON_FOR_BUILD) -Wi.*compileall.py/true/' Makefile.pre.in
      openssl_dev=
      for dir in $includes; do case $dir in *-openssl-*) openssl_dev=$dir ;; esac; done
      CPPFLAGS=$flags_include LDFLAGS=$flags_lib ./configure --prefix=$out \
        --enable-shared --with-system-ffi --without-ensurepip --with-openssl=$openssl_dev \
        --enable-loadable-sqlite-extensions
      make -j$jobs
      make install

      lib=$out/lib/python3.11
      rm -rf $lib/test $lib/*/test $lib/*/tests $lib/idlelib $lib/turtledemo $lib/tkinter
      rm -rf $lib/config-*/libpython* $out/bin/idle3* $out/share/man
      rm -f $lib/ctypes/macholib/fetch_macholib* $lib/config-*/python.o
      rm -f $lib/lib-dynload/{_ctypes_test,_test,_xx,xx}*.so
      ln -s python3.11 $out/bin/python
      ln -s pydoc3.11 $out/bin/pydoc
      trim $out
      # Where the build was, and its headers and libraries (they would be
      # references), is nobody's business at run time.
      for file in $lib/_sysconfigdata_*.py $lib/config-*/Makefile $out/bin/python3.11-config; do
        sed -i -E "s, -[IL]/nix/store/[^ '\"]*,,g; s,-[IL]/nix/store/[^ '\"]*,,g; s,$openssl_dev,/no-such-path,g; s,$NIX_BUILD_TOP/work,/build,g" $file
      done
      # Programs among the modules.
      grep -rlE -m1 '^#! ?/usr/(local/)?bin/(env )?python' $lib $out/bin --include='*' |
        while read -r file; do
          case $file in *.pyc | *.so) continue ;; esac
          sed -i -E "1s,^#! ?/usr/(local/)?bin/(env )?python[0-9.]*,#!$out/bin/python3.11," $file
        done
      find $out -name '*.pyc' -delete
      find $out -exec touch -h -d @1 {} +
      (
        unset SOURCE_DATE_EPOCH
        cd $out
        for level in "" -O -OO; do
          PYTHONHASHSEED=0 $out/bin/python3.11 -Wi $level -m compileall -q -f -j$jobs \
            --invalidation-mode timestamp -x 'lib2to3/tests|bad_coding|badsyntax' $lib
        done
      )
    '';
  };

  git = package {
    pname = "git";
    version = "2.39.5";
    mainProgram = "git";
    deps = [ zlib openssl curl pcre2 ];
    inherit perl coreutils gnugrep gnused gawk;
    src = make.fetch "git";
    script = ''
      unpack
      options="prefix=$out sysconfdir=/etc SHELL_PATH=$bash/bin/bash PERL_PATH=$perl/bin/perl
        CC=cc NO_TCLTK=1 NO_GETTEXT=1 NO_PYTHON=1 NO_EXPAT=1 USE_LIBPCRE2=1
        USE_GETTEXT_SCHEME=fallthrough NO_INSTALL_HARDLINKS=1 CFLAGS=-O2
        CURL_LDFLAGS=-lcurl CURL_CFLAGS= TEST_PROGRAMS= test_bindir_programs="
      make -j$jobs $options all
      make $options install
      mkdir -p $out/share/git/contrib/completion
      ln -s $out/libexec/git-core/git-http-backend $out/bin/
      sed -i "1s,^#!/usr/bin/perl,#!$perl/bin/perl," $out/share/git-core/templates/hooks/*
      cp contrib/completion/git-{completion,prompt}.* $out/share/git/contrib/completion/
      rm -rf $out/share/gitweb $out/share/git-gui $out/share/gitk

      # From here on as nixpkgs' package does it, with its own program text: the
      # commands in git's shell scripts become paths of the store.
      cd $out/libexec/git-core
      sed -i "s, egrep, $gnugrep/bin/egrep,g; s, grep, $gnugrep/bin/grep,g" git-sh-setup
      export gnugrep gnused gawk coreutils perl
      scripts=
      for name in sh-setup filter-branch merge-octopus mergetool quiltimport \
        request-pull submodule subtree web--browse; do
        [ ! -f git-$name ] || scripts+=" git-$name"
      done
      /usr/bin/perl -0777 -i -pe '
        foreach $c (
          "$ENV{gnugrep}/bin/grep", "$ENV{gnused}/bin/sed", "$ENV{gawk}/bin/awk",
          (map { "$ENV{coreutils}/bin/$_" } qw(cut basename dirname wc tr cat)),
          "$ENV{perl}/bin/perl"
        ) {
          $n = (split("/", $c))[-1];
          s|(?<=[^#][^/.-])\b$n(?=\s)|$c|g;
        }' $scripts
      trim $out
    '';
  };
}
