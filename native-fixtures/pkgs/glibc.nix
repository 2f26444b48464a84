# glibc from upstream's source, as nixpkgs builds it: its prefix is its store
# path, and so ld.so, gconv, locales and libexec are found there.
{ make }:
make.package {
  pname = "glibc";
  version = "2.36";
  outputs = [ "out" "bin" "dev" ];
  src = make.fetch "glibc";
  # There is no bash yet that could be named.
  keepShebangs = [ "ldd" ];
  script = ''
    unpack
    # nixpkgs' dont-use-system-ld-so-cache.patch and -preload.patch.
    sed -i "s|SYSCONFDIR \"/ld.so.cache\"|\"$out/etc/ld.so.cache\"|" sysdeps/generic/dl-cache.h
    sed -i "s|SYSCONFDIR \"/ld.so.conf\"|\"$out/etc/ld.so.conf\"|" elf/ldconfig.c
    sed -i 's|"/etc/ld.so.preload"|"/etc/ld-nix.so.preload"|' elf/rtld.c
    # Debian's tarball lacks the manual, whose licence it does not take.
    sed -i 's/ wctype manual shadow / wctype shadow /' Makeconfig
    # Its own ldconfig would be run, and write to the host's /var.
    sed -i 's/-test ! -x $(elf-objpfx)ldconfig ||/-true ||/' Makefile
    echo 'SUPPORTED-LOCALES=C.UTF-8/UTF-8' > localedata/SUPPORTED

    # The kernel's headers alone: the C library's must not be the host's.
    mkdir ../headers ../build
    ln -s /usr/include/{linux,asm-generic,x86_64-linux-gnu/asm} ../headers/
    cd ../build
    # Not the wrapper: glibc links itself, without any RUNPATH.
    CC=/usr/bin/gcc CXX=/usr/bin/g++ CFLAGS="-O2 -ffile-prefix-map=$NIX_BUILD_TOP=." \
      ../glibc-*/configure --prefix=$out --sysconfdir=/etc --with-headers=$PWD/../headers \
      --enable-kernel=3.10.0 --enable-stack-protector=strong --enable-bind-now \
      --disable-profile --disable-crypt --disable-build-nscd --disable-werror
    dirs="bindir=$bin/bin sbindir=$bin/sbin rootsbindir=$bin/sbin includedir=$dev/include"
    make -j$jobs $dirs
    mkdir -p $out/etc $out/lib
    cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 $out/lib/
    make $dirs sysconfdir=$out/etc install
    make $dirs localedata/install-locale-files

    # C.UTF-8's sources for localedef, and no others.
    cd $out
    find share/i18n -type f ! -name C ! -name POSIX ! -name 'i18n*' \
      ! -name 'translit_*' ! -name 'UTF-8.gz' -delete
    find share/locale -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
    rm -rf var share/info etc/ld.so.cache
    rm -f $bin/bin/{sotruss,xtrace,mtrace,catchsegv,memusage*,tzselect,sprof,pcprofiledump,pldd,makedb}
    rm -f $bin/sbin/sln lib/{libmemusage,libpcprofile}.so lib/audit/*
    ln -s lib lib64
    # nixpkgs has a static output; only what dynamic programs need stays.
    for file in lib/*.a; do
      case $file in *_nonshared.a) ;; *) rm "$file" ;; esac
    done
    for pair in pthread:0 rt:1 dl:2 util:1; do
      ln -s lib''${pair%:*}.so.''${pair#*:} lib/lib''${pair%:*}.so
    done
    # getconf is a hard link to files of another output.
    cp $bin/bin/getconf getconf.tmp
    mv getconf.tmp $bin/bin/getconf
    find $out $bin -type f \( -name '*.so*' -o -perm -100 \) -exec strip -S {} + 2> /dev/null || true
  '';
}
