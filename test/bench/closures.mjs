/**
 * Closures in Nix's shape for measuring: many files, many bytes, many libraries, a long chain. What lies in them is made
 * from a seed, so that each run on each machine measures the same.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const BASE32 = '0123456789abcdfghijklmnpqrsvwxyz'
const STORE = '/nix/store'
const made = []

/** A store path of its own for a name; what another run has left there is removed. */
function storePath(name) {
  const digest = createHash('sha256').update(`bench ${name}`).digest()
  const root = `${STORE}/${[...digest].map(byte => BASE32[byte % 32]).join('')}-${name}`
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, 'bin'), { recursive: true })
  made.push(root)
  return root
}

export function removeClosures() {
  for (const root of made.splice(0)) rmSync(root, { recursive: true, force: true })
}

/** Numbers from 0 to 2^32, the same for the same seed (mulberry32). */
function random(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** A program of the store's own glibc (`from` is one that has it); it needs libraries in `directory`. */
function program(to, from, directory = null, libraries = []) {
  const loader = execFileSync('patchelf', ['--print-interpreter', from], { encoding: 'utf8' }).trim()
  const glibc = loader.slice(0, loader.lastIndexOf('/'))
  const rpath = [glibc, ...(directory === null ? [] : [directory])].join(':')
  const flags = [`-Wl,--dynamic-linker=${loader},-rpath,${rpath},--no-as-needed`, '-Wl,--unresolved-symbols=ignore-all']
  const named = libraries.map(name => join(directory, name))
  // More libraries than an argument vector holds go by a file.
  writeFileSync(`${to}.args`, named.join('\n'))
  execFileSync('gcc', ['-x', 'c', '-', '-x', 'none', '-O1', '-o', to, ...flags, `@${to}.args`], {
    input: 'int main(void) { return 0; }\n',
  })
  rmSync(`${to}.args`)
}

/** So many small files in directories of fifty: text, of which each twentieth names its package. */
export function manyFiles(count, from) {
  const root = storePath(`bench-files-${count}`)
  program(join(root, 'bin/bench'), from)
  const next = random(count)
  const words = Array.from({ length: 4096 }, () => next().toString(36)).join(' ')
  for (let i = 0; i < count; i++) {
    const directory = join(root, 'share', String(Math.floor(i / 2500)), String(Math.floor(i / 50)))
    if (i % 50 === 0) mkdirSync(directory, { recursive: true })
    const at = next() % 16384
    const text = words.slice(at, at + 200 + (next() % 6000))
    const named = i % 20 === 0 ? `\nsee ${root}/share/${i}\n` : '\n'
    writeFileSync(join(directory, `file-${i}.txt`), text + named)
  }
  return root
}

/** So many bytes in files of 8 MiB: half of what compresses like code, half of what does not compress. */
export function manyBytes(bytes, from) {
  const root = storePath(`bench-bytes-${Math.round(bytes / 1e6)}`)
  program(join(root, 'bin/bench'), from)
  mkdirSync(join(root, 'share'))
  const next = random(bytes % 2 ** 31)
  const size = 8 << 20
  const base = Buffer.alloc(size)
  for (let at = 0; at < size; at += 4) base.writeUInt32LE(at < size / 2 ? next() : (next() % 200) * 0x01000193, at)
  for (let i = 0, done = 0; done < bytes; i++, done += size) {
    // No two files are equal, and no two pieces of one.
    for (let at = 0; at < size; at += 4096) base.writeUInt32LE(next(), at)
    const fd = openSync(join(root, `share/part-${i}`), 'w')
    writeSync(fd, base, 0, Math.min(size, bytes - done))
    closeSync(fd)
  }
  return root
}

const soname = i => `libbench-${String(i).padStart(5, '0')}.so`

/** Libraries that are one another but for their names, as no compiler could make thousands of in a moment. */
function libraries(root, count, isChain) {
  const directory = join(root, 'lib')
  mkdirSync(directory)
  const template = join(root, 'template')
  const compile = (to, extra) =>
    execFileSync('gcc', ['-x', 'c', '-', '-x', 'none', '-O1', '-shared', '-nostdlib', '-o', to, ...extra], {
      input: 'int nothing(void) { return 0; }\n',
    })
  compile(template, [`-Wl,-soname,${soname(99999)}`])
  const last = readFileSync(template)
  copyFileSync(template, join(directory, soname(99999)))
  compile(template, [`-Wl,-soname,${soname(88888)},-rpath,${directory},--no-as-needed`, join(directory, soname(99999))])
  const link = readFileSync(template)
  for (const file of [template, join(directory, soname(99999))]) rmSync(file)
  const named = (bytes, from, to) => {
    const at = bytes.indexOf(from)
    if (at < 0) throw new Error(`no ${from} in the template`)
    bytes.write(to, at, 'latin1')
    return bytes
  }
  for (let i = 0; i < count; i++) {
    const goesOn = isChain && i < count - 1
    const bytes = named(Buffer.from(goesOn ? link : last), soname(goesOn ? 88888 : 99999), soname(i))
    writeFileSync(join(directory, soname(i)), goesOn ? named(bytes, soname(99999), soname(i + 1)) : bytes)
  }
  return directory
}

/** A program that needs so many libraries. */
export function manyLibraries(count, from) {
  const root = storePath(`bench-libraries-${count}`)
  const directory = libraries(root, count, false)
  program(
    join(root, 'bin/bench'),
    from,
    directory,
    Array.from({ length: count }, (_, i) => soname(i)),
  )
  return root
}

/** A program that needs a library that needs a library... */
export function chain(count, from) {
  const root = storePath(`bench-chain-${count}`)
  const directory = libraries(root, count, true)
  program(join(root, 'bin/bench'), from, directory, [soname(0)])
  return root
}
