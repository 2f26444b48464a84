# Real programs and libraries from upstream's sources, with only what a bundle
# can be tested with: no manuals, no static libraries, no test suites.
{ make, base }:
let
  inherit (base) glibc libxcrypt;
  package = args: make.package ({ inherit glibc; } // args);
in
rec {
  zlib = package {
    pname = "zlib";
    version = "1.2.13";
    outputs = [ "out" "dev" ];
    src = make.fetch "zlib";
    script = ''
      unpack
      ./configure --prefix=$out --includedir=$dev/include
      make -j$jobs shared
      make install
      trim $out
    '';
  };

  pcre2 = package {
    pname = "pcre2";
    version = "10.42";
    outputs = [ "out" "dev" ];
    src = make.fetch "pcre2";
    script = ''
      unpack
      ./configure --prefix=$out --includedir=$dev/include --disable-static --enable-jit
      # The 8-bit library alone: neither the test program nor pcre2grep.
      make -j$jobs libpcre2-8.la
      make install-includeHEADERS install-nodist_includeHEADERS
      make install-libLTLIBRARIES lib_LTLIBRARIES=libpcre2-8.la
      trim $out
    '';
  };

  # Without the patch level in its name: Debian's security updates raise it, and
  # the name must be known before the source is fetched.
  openssl = package {
    pname = "openssl";
    mainProgram = "openssl";
    version = "3.0";
    outputs = [ "bin" "dev" "out" ];
    src = make.fetch "openssl";
    script = ''
      unpack
      perl ./Configure linux-x86_64 shared no-tests \
        --prefix=$out --libdir=lib --openssldir=$out/etc/ssl
      # The targets by name: build_sw compiles libcrypto twice, for a static
      # library nobody uses; so the installation is by hand too.
      modules="providers/legacy.so"
      for engine in afalg capi loader_attic padlock; do modules+=" engines/$engine.so"; done
      make -j$jobs build_generated
      make -j$jobs libcrypto.so libssl.so apps/openssl $modules
      mkdir -p $bin/bin $dev/include $out/etc/ssl $out/lib/ossl-modules $out/lib/engines-3
      cp apps/openssl $bin/bin/
      cp -r include/openssl $dev/include/
      rm $dev/include/openssl/*.in
      cp apps/openssl.cnf apps/ct_log_list.cnf $out/etc/ssl/
      cp libcrypto.so.3 libssl.so.3 $out/lib/
      for name in crypto ssl; do ln -s lib$name.so.3 $out/lib/lib$name.so; done
      cp providers/legacy.so $out/lib/ossl-modules/
      cp engines/{afalg,capi,loader_attic,padlock}.so $out/lib/engines-3/
    '';
  };

  ncurses = package {
    pname = "ncurses";
    version = "6.4";
    outputs = [ "out" "dev" ];
    src = make.fetch "ncurses";
    script = ''
      unpack
      ./configure --prefix=$out --includedir=$dev/include \
        --with-shared --without-normal --without-debug --enable-widec \
        --without-ada --without-cxx --without-cxx-binding --without-tests \
        --without-manpages
      make -j$jobs
      make install
      # A script of the host's sh: ncurses cannot depend on bash.
      rm $out/bin/ncursesw6-config
      # A few of the 2800 terminals.
      find $out/share/terminfo ! -type d \
        ! -name 'xterm*' ! -name 'screen*' ! -name 'tmux*' ! -name linux \
        ! -name 'vt[12]?0' ! -name ansi ! -name dumb -delete
      find $out/share/terminfo -type d -empty -delete
      # Other packages ask for these names, as with nixpkgs' ncurses.
      for name in ncurses curses tinfo; do
        ln -s libncursesw.so $out/lib/lib$name.so
      done
      trim $out
    '';
  };

  readline = package {
    pname = "readline";
    version = "8.2";
    outputs = [ "out" "dev" ];
    deps = [ ncurses ];
    src = make.fetch "readline";
    script = ''
      unpack
      ./configure --prefix=$out --includedir=$dev/include --disable-static \
        --disable-install-examples --with-curses
      make -j$jobs SHLIB_LIBS=-lncursesw
      make install SHLIB_LIBS=-lncursesw
      rm -rf $out/bin $out/share/readline
      trim $out
    '';
  };

  bash = package {
    pname = "bash";
    mainProgram = "bash";
    version = "5.2.15";
    deps = [ ncurses readline ];
    src = make.fetch "bash";
    script = ''
      # Its own scripts get its own shell.
      bash=$out
      unpack
      touch y.tab.c y.tab.h
      bash_cv_termcap_lib=libncursesw ./configure --prefix=$out \
        --with-curses --with-installed-readline --without-bash-malloc --disable-nls
      make -j$jobs bash bashbug
      install -D -m 555 bash $out/bin/bash
      install -m 555 bashbug $out/bin/bashbug
      ln -s bash $out/bin/sh
    '';
  };

  nginx = package {
    pname = "nginx";
    mainProgram = "nginx";
    version = "1.22.1";
    deps = [ zlib pcre2 openssl libxcrypt ];
    src = make.fetch "nginx";
    # The log, pid and temporary paths are nixpkgs': a program must never write
    # to its store path, and root can.
    script = ''
      unpack
      ./configure --prefix=$out --sbin-path=$out/bin/nginx --with-cc=cc \
        --http-log-path=/var/log/nginx/access.log \
        --error-log-path=/var/log/nginx/error.log \
        --pid-path=/var/log/nginx/nginx.pid \
        --http-client-body-temp-path=/tmp/nginx_client_body \
        --http-proxy-temp-path=/tmp/nginx_proxy \
        --http-fastcgi-temp-path=/tmp/nginx_fastcgi \
        --http-uwsgi-temp-path=/tmp/nginx_uwsgi \
        --http-scgi-temp-path=/tmp/nginx_scgi \
        --with-pcre --with-pcre-jit --with-threads \
        --with-http_ssl_module --with-http_v2_module \
        --with-http_gzip_static_module --with-http_stub_status_module
      make -j$jobs
      # Not `make install`: it makes a log directory outside the store.
      install -D -m 555 objs/nginx $out/bin/nginx
      mkdir -p $out/conf $out/html
      cp conf/{nginx.conf,mime.types,fastcgi.conf,fastcgi_params} $out/conf/
      cp conf/{scgi_params,uwsgi_params,koi-win,koi-utf,win-utf} $out/conf/
      cp html/* $out/html/
    '';
  };
}
