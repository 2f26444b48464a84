# The C and C++ libraries: Debian's own files, laid out as nixpkgs does.
#
# Building glibc takes ten minutes and more; copying it takes none. The price:
# this ld.so has Debian's directories compiled in, not the store's.
#
# With a `glibc` of its own (pkgs/glibc.nix), the others are made for that one.
{ make, glibc ? null }@args:
rec {
  glibc = if args ? glibc then args.glibc else make.package {
    pname = "glibc";
    version = "2.36";
    script = ''
      mkdir -p $out/lib
      for name in \
        ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libmvec.so.1 libdl.so.2 \
        libpthread.so.0 librt.so.1 libresolv.so.2 libutil.so.1 libanl.so.1 \
        libnsl.so.1 libBrokenLocale.so.1 libthread_db.so.1 libnss_files.so.2 \
        libnss_dns.so.2 libnss_compat.so.2 libnss_hesiod.so.2
      do
        cp -L /lib/x86_64-linux-gnu/$name $out/lib/
      done
      # Beside libc, as in nixpkgs: libc dlopens it for pthread_cancel.
      cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 $out/lib/
      case $($out/lib/ld-linux-x86-64.so.2 --version) in
      *' 2.36'*) ;;
      *) fail "the host's glibc is not 2.36 (Debian 12)" ;;
      esac
    '';
  };

  # The "lib" output of nixpkgs' gcc, whose store name ends in -lib.
  libstdcxx = make.package {
    pname = "gcc";
    version = "12.2.0-lib";
    inherit glibc;
    keepRpath = true;
    dontStrip = true;
    script = ''
      mkdir -p $out/lib
      cd $out/lib
      real=$(readlink -f /usr/lib/x86_64-linux-gnu/libstdc++.so.6)
      cp "$real" .
      cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 .
      for file in "''${real##*/}" libgcc_s.so.1; do
        patchelf --set-rpath $out/lib:$glibc/lib "$file"
      done
      ln -s "''${real##*/}" libstdc++.so.6
      ln -s libstdc++.so.6 libstdc++.so
    '';
  };

  # nginx hashes passwords with it; since 2.36 nixpkgs takes it from here and no
  # longer from glibc.
  libxcrypt = make.package {
    pname = "libxcrypt";
    version = "4.4.33";
    inherit glibc;
    keepRpath = true;
    dontStrip = true;
    script = ''
      mkdir -p $out/lib
      cp -L /lib/x86_64-linux-gnu/libcrypt.so.1 $out/lib/
      patchelf --set-rpath $glibc/lib $out/lib/libcrypt.so.1
      ln -s libcrypt.so.1 $out/lib/libcrypt.so
    '';
  };
}
