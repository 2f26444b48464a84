/**
 * Files that hold a store path where no plain search sees it, each made by its own tool: what the tools are called in
 * Debian is in native-fixtures/setup.sh (--long).
 */

/** The text that all of them hold. What packs by repeating finds all of a store path before, and never as a whole. */
export const STORE = '/nix/store/0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7-needle-1.0'
export const TEXT = [
  'a /nix/st',
  `b ${STORE.slice('/nix/st'.length)}/share/x`,
  ...Array.from({ length: 60 }, (_, i) => `filler ${i} ${(i * 7919) % 1009} to be packed, to be packed`),
  `c ${STORE}/share/x`,
  '',
].join('\n')

export interface PackedKind {
  readonly what: string
  /** In bash: finds the text as `x` in its directory, and makes files in the directory `$1`. */
  readonly make: string
}

const kind = (what: string, make: string): PackedKind => ({ what, make })
const python = (what: string, make: string): PackedKind =>
  kind(
    what,
    `/usr/bin/python3 - "$1" <<'END'\nimport sys, zlib, gzip, bz2, lzma, struct\nout = sys.argv[1] + "/"\nx = open("x", "rb").read()\n${make}\nEND`,
  )
const REPOSITORY = `export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q r; cp x r/x; git -C r add x; git -C r commit -qm one; echo more >> r/x; git -C r commit -qam two`
const PROGRAM = `echo 'int main(void) { return 0; }' > p.c; gcc -o p p.c`
const XML = `cat > x.xml <<'END'
<?xml version="1.0"?><gresources><gresource prefix="/a"><file compressed="true">x</file></gresource></gresources>
END
glib-compile-resources --target=x.gresource x.xml`
const QRC = `echo '<RCC><qresource prefix="/a"><file>x</file></qresource></RCC>' > x.qrc`

/** Of the tools that Debian has. */
export const PACKED_KINDS: readonly PackedKind[] = [
  // programs' own formats
  kind(
    'compiled Erlang',
    `printf -- '-module(h).\\n-export([f/0]).\\nf() -> "%s".\\n' "$(tr '\\n' ' ' < x)" > h.erl; erlc -o $1 h.erl`,
  ),
  kind(
    'compiled Erlang, compressed as a whole',
    `printf -- '-module(h).\\n-export([f/0]).\\nf() -> "%s".\\n' "$(tr '\\n' ' ' < x)" > h.erl; erlc +compressed -o $1 h.erl`,
  ),
  kind(
    'a release of Erlang packed in one script',
    `printf -- '-module(h).\\n-export([main/1]).\\nmain(_) -> io:format("%s").\\n' "$(tr '\\n' ' ' < x)" > h.erl; erlc h.erl; erl -noshell -eval 'escript:create("'$1/h'", [shebang, {archive, [{"h.beam", element(2, file:read_file("h.beam"))}], []}]), halt().'`,
  ),
  kind(
    "R's databases",
    `R --slave -e 'e <- new.env(); e$p <- readLines("x"); for (c in 1:3) tools:::makeLazyLoadDB(e, paste0("rp", c), compress = c)'; cp rp1.rdb $1`,
  ),
  kind(
    "R's databases, bzip2",
    `R --slave -e 'e <- new.env(); e$p <- readLines("x"); tools:::makeLazyLoadDB(e, "rp", compress = 2)'; cp rp.rdb $1`,
  ),
  kind(
    "R's databases, xz",
    `R --slave -e 'e <- new.env(); e$p <- readLines("x"); tools:::makeLazyLoadDB(e, "rp", compress = 3)'; cp rp.rdb $1`,
  ),
  kind(
    "R's files of data",
    `R --slave -e 'p <- readLines("x"); saveRDS(p, "'$1/p.rds'"); save(p, file = "'$1/p.rda'"); save(p, file = "'$1/q.rda'", compress = "xz"); save(p, file = "'$1/r.rda'", compress = "bzip2")'`,
  ),
  kind('Qt resources', `${QRC}; rcc -binary -o $1/x.rcc x.qrc`),
  kind('Qt resources, zstd', `${QRC}; rcc -binary --compress-algo zstd --threshold 0 -o $1/x.rcc x.qrc`),
  kind(
    'Qt resources in a library',
    `${QRC}; rcc -o q.cpp --compress-algo zlib x.qrc; g++ -shared -fPIC -o $1/q.so q.cpp`,
  ),
  kind(
    'Qt resources in a library, zstd',
    `${QRC}; rcc -o q.cpp --compress-algo zstd --threshold 0 x.qrc; g++ -shared -fPIC -o $1/q.so q.cpp`,
  ),
  kind('GResource', `${XML}; cp x.gresource $1`),
  kind(
    'GResource in a library',
    `${XML}; echo '.section .gresource.x,"a"; .incbin "x.gresource"' > x.s; gcc -shared -o $1/x.so x.s`,
  ),
  kind('a git repository', `${REPOSITORY}; git -C r gc -q; cp -r r/.git $1/git`),
  kind('a git repository of loose objects', `${REPOSITORY}; cp -r r/.git $1/git`),
  kind('a git pack', `${REPOSITORY}; git -C r gc -q; cp r/.git/objects/pack/*.pack $1`),
  kind('a git bundle', `${REPOSITORY}; git -C r bundle create -q $1/x.bundle --all`),
  kind(
    'a Java image',
    `mkdir -p m/p; printf 'module m {}' > m/module-info.java; cp x m/p/x.txt; javac -d m m/module-info.java; jlink --compress=2 -p m:/usr/lib/jvm/java-17-openjdk-amd64/jmods --add-modules m --output i; cp i/lib/modules $1`,
  ),
  kind(
    'a Java module',
    `mkdir -p m/p; printf 'module m {}' > m/module-info.java; cp x m/p/x.txt; javac -d m m/module-info.java; jmod create --class-path m $1/m.jmod`,
  ),
  kind(
    'objects of Chez Scheme',
    `printf '(define p "%s")' "$(tr '\\n' ' ' < x)" > c.ss; echo '(compile-file "c.ss")' | scheme -q; cp c.so $1`,
  ),
  kind('zip application of Python', `mkdir z; cp x z/__main__.py; /usr/bin/python3 -m zipapp -c -o $1/z.pyz z`),
  // packed files
  ...['gzip', 'zstd -q', 'pzstd -q', 'brotli', 'lrzip -Q', 'xz', 'bzip2', 'lz4 -q', 'lzop', 'lzip', 'pigz'].map(tool =>
    kind(tool, `cp x y; ${tool} y ${tool.startsWith('lz4') ? 'y.lz4' : ''}; rm -f y; mv y.* $1`),
  ),
  kind('compress', 'compress -c x > $1/x.Z || [ -s $1/x.Z ]'),
  kind('lzma', 'xz -F lzma -c x > $1/x.lzma'),
  kind('lz4, an old one', 'lz4 -lq x $1/x.lz4'),
  kind('lz4 behind a skippable frame', `(printf '\\x50\\x2a\\x4d\\x18\\x04\\x00\\x00\\x00abcd'; lz4 -cq x) > $1/x.lz4`),
  kind(
    'zstd behind a skippable frame',
    `(printf '\\x5f\\x2a\\x4d\\x18\\x04\\x00\\x00\\x00abcd'; zstd -cq x) > $1/x.zst`,
  ),
  kind('zstd without a checksum, long', 'zstd -q --no-check --ultra -22 --long=27 -c x > $1/x.zst'),
  kind('7z', '7z a -bd $1/x.7z x > /dev/null'),
  kind('7z that unpacks itself', '7z a -bd -sfx7zCon.sfx $1/x.run x > /dev/null'),
  ...['BZip2', 'LZMA', 'Deflate64', 'PPMd', 'xz'].map(method =>
    kind(
      `zip, ${method}`,
      method === 'xz'
        ? `/usr/bin/python3 -c 'import zipfile, sys; zipfile.ZipFile(sys.argv[1], "w", 14).write("x")' $1/x.zip`
        : `7z a -bd -tzip -mm=${method} $1/x.zip x > /dev/null`,
    ),
  ),
  kind('arj', 'arj a -i $1/x.arj x > /dev/null'),
  kind('zpaq', 'zpaq a $1/x.zpaq x > /dev/null 2>&1'),
  kind('cab', 'gcab -cz $1/x.cab x'),
  kind('wim', 'mkdir w; cp x w; wimcapture w $1/x.wim > /dev/null'),
  kind('xar', 'bsdtar --format=xar -cf $1/x.xar x'),
  kind('warc', 'bsdtar --format=warc -cf w x; gzip -c w > $1/x.warc.gz'),
  // packages
  kind(
    'an rpm',
    `mkdir -p r; cat > r/x.spec <<END
Name: x
Version: 1
Release: 1
Summary: x
License: x
%description
x
%install
mkdir -p %{buildroot}/a; cp $PWD/x %{buildroot}/a/x
%files
/a/x
END
rpmbuild -bb --quiet --define "_topdir $PWD/r" --define '_binary_payload w9.gzdio' r/x.spec > /dev/null 2>&1; cp r/RPMS/*/*.rpm $1`,
  ),
  kind(
    "Alpine's package: gzip behind gzip",
    `mkdir a; cp x a/.PKGINFO; echo y > a/y; (tar -C a -cf - .PKGINFO | head -c $((512 + ($(stat -c %s a/.PKGINFO) + 511) / 512 * 512)) | gzip; tar -C a -cf - y | gzip) > $1/x.apk`,
  ),
  kind(
    "Alpine's package, the second gzip",
    `mkdir a; cp x a/x; echo y > a/.PKGINFO; (tar -C a -cf - .PKGINFO | head -c $((512 + ($(stat -c %s a/.PKGINFO) + 511) / 512 * 512)) | gzip; tar -C a -cf - x | gzip) > $1/x.apk`,
  ),
  kind(
    'a Debian package within',
    'mkdir -p d/DEBIAN d/a; cp x d/a; printf "Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: x\\nDescription: x\\n" > d/DEBIAN/control; dpkg-deb -b d $1/x.deb > /dev/null',
  ),
  kind(
    'a wheel',
    `/usr/bin/python3 -c 'import zipfile, sys; zipfile.ZipFile(sys.argv[1], "w", 8).write("x", "p/x.py")' $1/p-1-py3-none-any.whl`,
  ),
  kind('a package of NuGet', `mkdir n; cp x n; (cd n; zip -qr $1/x.nupkg .)`),
  kind('a conda package', `mkdir c; tar -cf - x | zstd -q > c/pkg-x.tar.zst; (cd c; zip -q0r $1/x.conda .)`),
  kind('a gem', `tar -czf data.tar.gz x; tar -cf $1/x.gem data.tar.gz`),
  kind(
    'a flatpak bundle',
    `mkdir -p b/files b/export; cp x b/files; printf '[Application]\\nname=a.b.c\\nruntime=d.e.f/x86_64/1\\n' > b/metadata; flatpak build-export repo b > /dev/null 2>&1; flatpak build-bundle repo $1/x.flatpak a.b.c > /dev/null 2>&1`,
  ),
  kind(
    'a repository of OSTree',
    `mkdir -p b/files b/export; cp x b/files; printf '[Application]\\nname=a.b.c\\nruntime=d.e.f/x86_64/1\\n' > b/metadata; flatpak build-export repo b > /dev/null 2>&1; mkdir $1/objects; find repo/objects -name '*.filez' -exec cp {} $1/objects \\;`,
  ),
  kind('makeself', 'mkdir m; cp x m; makeself --nox11 m $1/x.run x true > /dev/null 2>&1'),
  ...['xz', 'bzip2', 'base64', 'pigz', 'zstd', 'lz4'].map(how =>
    kind(`makeself, ${how}`, `mkdir m; cp x m; makeself --nox11 --${how} m $1/x.run x true > /dev/null 2>&1`),
  ),
  kind(
    'a shell archive',
    `cp "$(command -v xz)" y; (printf '#!/bin/sh\\ntail -n +3 "$0" | xz -d | tar x\\nexit\\n'; tar -c x | xz) > $1/x.sh`,
  ),
  // file systems and disks
  ...['gzip', 'xz', 'zstd', 'lz4', 'lzo'].map(how =>
    kind(`squashfs, ${how}`, `mksquashfs x $1/x.squashfs -comp ${how} -quiet -no-progress > /dev/null`),
  ),
  kind('erofs, lz4hc', 'mkdir e; for i in 1 2 3; do cat x >> e/x; done; mkfs.erofs -zlz4hc $1/x.erofs e > /dev/null'),
  kind('cramfs', 'mkdir c; cp x c; mkfs.cramfs c $1/x.cramfs > /dev/null'),
  kind('jffs2', 'mkdir j; cp x j; mkfs.jffs2 -d j -o $1/x.jffs2'),
  kind('ubifs', 'mkdir u; cp x u; mkfs.ubifs -m 2048 -e 126976 -c 100 -r u -o $1/x.ubifs > /dev/null'),
  kind(
    'ubifs, zlib, in UBI',
    `mkdir u; cp x u; mkfs.ubifs -x zlib -m 2048 -e 126976 -c 100 -r u -o u.img > /dev/null; printf '[u]\\nmode=ubi\\nimage=u.img\\nvol_id=0\\nvol_type=dynamic\\nvol_name=u\\n' > u.ini; ubinize -m 2048 -p 128KiB -o $1/x.ubi u.ini`,
  ),
  kind('ISO 9660', 'genisoimage -quiet -o $1/x.iso x'),
  kind(
    'ISO 9660 with zisofs',
    'mkdir i; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do cat x >> i/x; done; xorriso -as mkisofs -quiet -z -r -o $1/x.iso i 2> /dev/null; xorriso -outdev $1/y.iso -map i / -set_filter_r --zisofs / -- -commit > /dev/null 2>&1',
  ),
  kind('a cpio archive', 'gzip -k x; echo x.gz | cpio -oH newc --quiet > $1/x.cpio'),
  kind(
    'an initramfs',
    `mkdir -p kernel; echo microcode > kernel/x; (find kernel | cpio -oH newc --quiet; echo x | cpio -oH newc --quiet | gzip) > $1/initrd.img`,
  ),
  kind(
    'an initramfs, zstd',
    `mkdir -p kernel; echo microcode > kernel/x; (find kernel | cpio -oH newc --quiet; echo x | cpio -oH newc --quiet | zstd -q) > $1/initrd.img`,
  ),
  kind('qcow2', 'qemu-img convert -q -f raw -O qcow2 -c x $1/x.qcow2'),
  kind('qcow2, zstd', 'qemu-img convert -q -f raw -O qcow2 -c -o compression_type=zstd x $1/x.qcow2'),
  kind('vmdk', 'qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized x $1/x.vmdk'),
  kind(
    'a Mac disk image (its layout; no tool of Debian makes one)',
    `/usr/bin/python3 - $1/x.dmg <<'END'
import sys, zlib
x = zlib.compress(open("x", "rb").read()); t = b"koly" + bytes(508); open(sys.argv[1], "wb").write(x + bytes(512) + t)
END`,
  ),
  kind('a Mac disk image, bzip2', `(bzip2 < x; printf koly; head -c 508 /dev/zero) > $1/x.dmg`),
  kind(
    'an AppImage',
    `${PROGRAM}; mksquashfs x s -quiet -no-progress > /dev/null; (cat p; cat s) > $1/x.AppImage; printf 'AI\\x02' | dd of=$1/x.AppImage bs=1 seek=8 conv=notrunc status=none`,
  ),
  kind(
    'squashfs in a partition',
    `mksquashfs x s -quiet -no-progress > /dev/null; truncate -s 1M d; echo '2048,,L' | sfdisk -q d 2> /dev/null || true; (head -c 1048576 d; cat s) > $1/disk.img`,
  ),
  // kernels and firmware
  kind('uImage', 'gzip -k x; mkimage -A arm -O linux -T kernel -C gzip -n x -d x.gz $1/uImage > /dev/null'),
  kind(
    'FIT image',
    `gzip -k x; cat > f.its <<'END'
/dts-v1/;
/ { description = "x"; #address-cells = <1>; images { k { description = "k"; data = /incbin/("x.gz"); type = "kernel"; arch = "arm64"; os = "linux"; compression = "gzip"; load = <0>; entry = <0>; }; }; configurations { default = "c"; c { description = "c"; kernel = "k"; }; }; };
END
mkimage -f f.its x.itb > /dev/null; cp x.itb $1`,
  ),
  kind('boot image of Android', `gzip -k x; (printf 'ANDROID!'; head -c 2040 /dev/zero; cat x.gz) > $1/boot.img`),
  // programs
  kind("data behind a program's end", `${PROGRAM}; (cat p; xz < x) > $1/p`),
  kind("a zip behind a program's end", `${PROGRAM}; zip -q x.zip x; (cat p x.zip) > $1/p`),
  kind(
    'gzip in a program',
    `gzip -k x; echo '.section .rodata; .incbin "x.gz"; .section .note.GNU-stack,"",@progbits' > x.s; echo 'int main(void) { return 0; }' > p.c; gcc -o $1/p p.c x.s`,
  ),
  ...['xz', 'zstd', 'bzip2', 'lz4'].map(tool =>
    kind(
      `${tool} in a program`,
      `${tool === 'lz4' ? 'lz4 -cq x' : `${tool} -c x`} > x.packed; echo '.section .rodata; .incbin "x.packed"; .section .note.GNU-stack,"",@progbits' > x.s; echo 'int main(void) { return 0; }' > p.c; gcc -o $1/p p.c x.s`,
    ),
  ),
  kind(
    'debug sections, zstd',
    `echo "int main(void) { return 0; }" > p.c; gcc -g -fdebug-prefix-map=$PWD=/nix/store/$(head -c 300 x | tr -dc a-z) -o p p.c; cp p $1/p; objcopy --compress-debug-sections=zstd $1/p 2> /dev/null || objcopy --compress-debug-sections=zlib-gnu $1/p`,
  ),
  kind('small debug information of Fedora', `${PROGRAM}; xz -k x; objcopy --add-section .gnu_debugdata=x.xz p $1/p`),
  kind(
    'a Go program with an embedded zstd file',
    `zstd -qk x; printf 'package main\\nimport _ "embed"\\n//go:embed x.zst\\nvar x string\\nfunc main() { println(len(x)) }\\n' > m.go; printf 'module m\\ngo 1.19\\n' > go.mod; GOFLAGS=-mod=mod go build -o $1/m .`,
  ),
  // documents and data
  kind(
    'PDF',
    `/usr/bin/python3 - $1/x.pdf <<'END'
import sys, zlib
d = zlib.compress(open("x", "rb").read())
open(sys.argv[1], "wb").write(b"%PDF-1.4\\n1 0 obj\\n<</Type/Catalog/Pages 2 0 R/X 3 0 R>>\\nendobj\\n2 0 obj\\n<</Type/Pages/Kids[]/Count 0>>\\nendobj\\n3 0 obj\\n<</Length " + str(len(d)).encode() + b"/Filter/FlateDecode>>\\nstream\\n" + d + b"\\nendstream\\nendobj\\ntrailer\\n<</Root 1 0 R>>\\n")
END
qpdf --warning-exit-0 --no-warn --object-streams=generate $1/x.pdf $1/y.pdf`,
  ),
  python(
    'PNG: zTXt and iTXt',
    `chunk = lambda t, d: struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
idat = chunk(b"IDAT", zlib.compress(b"\\0\\0")) + chunk(b"IEND", b"")
open(out + "z.png", "wb").write(png + chunk(b"zTXt", b"c\\0\\0" + zlib.compress(x)) + idat)
open(out + "i.png", "wb").write(png + chunk(b"iTXt", b"c\\0\\1\\0\\0\\0" + zlib.compress(x, 9)) + idat)`,
  ),
  kind(
    'fonts for the web',
    `/usr/bin/python3 - "$1" <<'END'
import sys
from fontTools.ttLib import TTFont
f = TTFont("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf")
f["name"].setName(open("x").read(), 10, 3, 1, 0x409)
f.flavor = "woff"; f.save(sys.argv[1] + "/x.woff")
f.flavor = None; f.save("x.ttf")
END`,
  ),
  kind(
    'HDF5, deflate',
    `/usr/bin/python3 - $1/x.h5 <<'END'
import sys, h5py, numpy
h5py.File(sys.argv[1], "w").create_dataset("x", data=numpy.frombuffer(open("x", "rb").read(), dtype="S1"), compression="gzip", chunks=True)
END`,
  ),
  kind(
    'HDF5, shuffled',
    `/usr/bin/python3 - $1/x.h5 <<'END'
import sys, h5py, numpy
h5py.File(sys.argv[1], "w").create_dataset("x", data=numpy.array([open("x", "rb").read()], dtype="S4000"), compression="gzip", shuffle=True, chunks=True)
END`,
  ),
  kind('SQLite', `sqlite3 $1/x.db "create table t (a); insert into t values (readfile('x'))"`),
  kind(
    'LMDB',
    `printf 'VERSION=3\\nformat=print\\ntype=btree\\nmapsize=1048576\\nmaxreaders=126\\nHEADER=END\\n key\\n %s\\nDATA=END\\n' "$(tr '\\n' ' ' < x)" | mdb_load -n $1/x.lmdb; rm $1/x.lmdb-lock`,
  ),
  kind(
    'messages of gettext',
    `printf 'msgid "a"\\nmsgstr "%s"\\n' "$(tr '\\n' ' ' < x)" > x.po; msgfmt -o $1/x.mo x.po`,
  ),
  kind(
    'SWF',
    `/usr/bin/python3 - $1/x.swf <<'END'
import sys, zlib
x = open("x", "rb").read(); open(sys.argv[1], "wb").write(b"CWS\\x06" + (8 + len(x)).to_bytes(4, "little") + zlib.compress(x))
END`,
  ),
  python(
    "Mozilla's lz4",
    `open("y", "wb").write(x)
import subprocess
b = subprocess.run(["lz4", "-cq", "--no-frame-crc", "x"], capture_output=True).stdout
n = struct.unpack_from("<I", b, 7)[0]; open(out + "x.jsonlz4", "wb").write(b"mozLz40\\0" + struct.pack("<I", len(x)) + b[11:11 + n])`,
  ),
  python(
    "Mozilla's zip, its directory first",
    `import zipfile, io
z = io.BytesIO(); f = zipfile.ZipFile(z, "w", 8); f.write("x"); f.close(); b = z.getvalue()
end = b.rindex(b"PK\\5\\6"); n, at = struct.unpack_from("<II", b, end + 12)
directory = bytearray(b[at:end]); shift = 4 + n + 22; struct.pack_into("<I", directory, 42, shift)
eocd = bytearray(b[end:]); struct.pack_into("<I", eocd, 16, 4)
open(out + "omni.ja", "wb").write(struct.pack("<I", shift) + bytes(directory) + bytes(eocd) + b[:at] + bytes(eocd))`,
  ),
  python(
    "Chromium's pack of resources",
    `g = gzip.compress(x); open(out + "r.pak", "wb").write(struct.pack("<IIBBBB", 5, 1, 0, 0, 1, 0)[:12] + struct.pack("<HIHI", 1, 24, 0, 24 + len(g)) + g)`,
  ),
  python(
    'a snapshot of rrd: gzip behind a head',
    `open(out + "x.bin", "wb").write(b"\\1\\2\\3\\4" * 9 + gzip.compress(x))`,
  ),
  python('xz behind a head', `open(out + "x.bin", "wb").write(b"\\1\\2\\3\\4" * 9 + lzma.compress(x))`),
  python('bzip2 behind a head', `open(out + "x.bin", "wb").write(b"\\1\\2\\3\\4" * 9 + bz2.compress(x))`),
]
