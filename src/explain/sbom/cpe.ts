/**
 * Names under which the NVD's vulnerabilities are filed (CPE 2.3, NISTIR 7695: formatted strings), for packages that
 * closures are made of. Only what is written here has one: that vendor and product are called alike is a guess, and a
 * wrong name finds another program's vulnerabilities. Pure.
 */

/** Vendor and product by nixpkgs' name (pname). */
export const PRODUCTS: Readonly<Record<string, readonly [vendor: string, product: string]>> = {
  bash: ['gnu', 'bash'],
  'bash-interactive': ['gnu', 'bash'],
  binutils: ['gnu', 'binutils'],
  brotli: ['google', 'brotli'],
  busybox: ['busybox', 'busybox'],
  bzip2: ['bzip', 'bzip2'],
  cairo: ['cairographics', 'cairo'],
  coreutils: ['gnu', 'coreutils'],
  cpio: ['gnu', 'cpio'],
  curl: ['haxx', 'curl'],
  dbus: ['freedesktop', 'dbus'],
  expat: ['libexpat_project', 'libexpat'],
  ffmpeg: ['ffmpeg', 'ffmpeg'],
  file: ['file_project', 'file'],
  freetype: ['freetype', 'freetype'],
  gcc: ['gnu', 'gcc'],
  git: ['git-scm', 'git'],
  glib: ['gnome', 'glib'],
  glibc: ['gnu', 'glibc'],
  gmp: ['gmplib', 'gmp'],
  gnugrep: ['gnu', 'grep'],
  gnupg: ['gnupg', 'gnupg'],
  gnused: ['gnu', 'sed'],
  gnutar: ['gnu', 'tar'],
  gnutls: ['gnu', 'gnutls'],
  gzip: ['gnu', 'gzip'],
  harfbuzz: ['harfbuzz_project', 'harfbuzz'],
  icu4c: ['icu-project', 'international_components_for_unicode'],
  krb5: ['mit', 'kerberos_5'],
  libkrb5: ['mit', 'kerberos_5'],
  less: ['gnu', 'less'],
  libarchive: ['libarchive', 'libarchive'],
  libcap: ['libcap_project', 'libcap'],
  libevent: ['libevent_project', 'libevent'],
  libgcrypt: ['gnupg', 'libgcrypt'],
  libidn2: ['gnu', 'libidn2'],
  'libjpeg-turbo': ['libjpeg-turbo', 'libjpeg-turbo'],
  libpng: ['libpng', 'libpng'],
  libseccomp: ['libseccomp_project', 'libseccomp'],
  libsodium: ['libsodium', 'libsodium'],
  libssh: ['libssh', 'libssh'],
  libssh2: ['libssh2', 'libssh2'],
  libtasn1: ['gnu', 'libtasn1'],
  libtiff: ['libtiff', 'libtiff'],
  libuv: ['libuv', 'libuv'],
  libwebp: ['webmproject', 'libwebp'],
  libxml2: ['xmlsoft', 'libxml2'],
  libxslt: ['xmlsoft', 'libxslt'],
  libyaml: ['pyyaml', 'libyaml'],
  lua: ['lua', 'lua'],
  lz4: ['lz4_project', 'lz4'],
  musl: ['musl-libc', 'musl'],
  ncurses: ['gnu', 'ncurses'],
  nettle: ['nettle_project', 'nettle'],
  nghttp2: ['nghttp2', 'nghttp2'],
  nginx: ['f5', 'nginx'],
  nodejs: ['nodejs', 'node.js'],
  openssh: ['openbsd', 'openssh'],
  openssl: ['openssl', 'openssl'],
  pcre: ['pcre', 'pcre'],
  pcre2: ['pcre', 'pcre2'],
  perl: ['perl', 'perl'],
  php: ['php', 'php'],
  postgresql: ['postgresql', 'postgresql'],
  python3: ['python', 'python'],
  readline: ['gnu', 'readline'],
  redis: ['redis', 'redis'],
  rsync: ['samba', 'rsync'],
  ruby: ['ruby-lang', 'ruby'],
  sqlite: ['sqlite', 'sqlite'],
  systemd: ['systemd_project', 'systemd'],
  'systemd-minimal': ['systemd_project', 'systemd'],
  'systemd-minimal-libs': ['systemd_project', 'systemd'],
  'util-linux': ['kernel', 'util-linux'],
  'util-linux-minimal': ['kernel', 'util-linux'],
  vim: ['vim', 'vim'],
  wget: ['gnu', 'wget'],
  xz: ['tukaani', 'xz'],
  zlib: ['zlib', 'zlib'],
  zstd: ['facebook', 'zstandard'],
}

/**
 * `cpe:2.3:a:openssl:openssl:3.0.22:*:*:*:*:*:*:*`
 * @returns null for a package that the table does not have, or whose version is none of upstream's
 */
export function cpeOf(pname: string, version: string | null): string | null {
  const product = Object.hasOwn(PRODUCTS, pname) ? PRODUCTS[pname] : undefined
  const released = version?.replace(/-unstable-.*$/, '')
  if (product === undefined || released === undefined || !/^\d/.test(released)) return null
  const [, base, patch] = /^(\d+(?:\.\d+)*)-?p(\d+)$/.exec(PATCHED.has(pname) ? released : '') ?? []
  const [number, update] =
    base === undefined ? [released, '*'] : pname === 'openssh' ? [base, `p${patch}`] : [`${base}.${patch}`, '*']
  return ['cpe:2.3:a', ...product, quoted(number), update, '*:*:*:*:*:*'].join(':')
}

/**
 * Whose patches nixpkgs has in the version: `5.2p37`, `5.2-p15`. OpenSSH's portable releases are updates of a version;
 * bash and readline call themselves 5.2.37.
 */
const PATCHED: ReadonlySet<string> = new Set(['openssh', 'bash', 'bash-interactive', 'readline'])

/** Whatever is no letter, digit, full stop, dash or underscore stands behind a backslash. */
const quoted = (text: string): string => text.toLowerCase().replace(/[^a-z0-9._-]/g, c => `\\${c}`)
