/**
 * One file (`-f exe`): its size beside the tar.gz, its first start, and later starts beside the original's, in a root with
 * nothing but /proc, /dev and a home. For later starts the store is there too, for the original; medians of interleaved runs.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixture, repository, spawner } from './programs.mjs'

const rounds = process.argv[2] ?? '200'
const work = mkdtempSync(join(tmpdir(), 'storefree-bench-'))
const _sh = script => execFileSync('bash', ['-euc', script], { cwd: repository, encoding: 'utf8' }).trim()
const bundle = (...args) => execFileSync(process.execPath, [join(repository, 'bin/bundle.js'), ...args, '-q'])
const mb = path => (statSync(path).size / 1e6).toFixed(1)

try {
  spawner(work)
  console.log('program   tar.gz      exe   first start   later starts')
  for (const [attribute, program, argument] of [
    ['full.nginx', 'nginx', '-v'],
    ['full.git', 'git', '--version'],
    ['full.python3', 'python3', '--version'],
    ['full.python3', 'python3', '-cimport json'],
  ]) {
    const store = fixture(attribute)
    const [exe, tar] = [join(work, program), join(work, `${program}.tar.gz`)]
    bundle(store, '--program', program, '-f', 'exe', '-o', exe, '--force')
    bundle(store, '--program', program, '-o', tar, '--force')
    const root = ['--proc', '/proc', '--dev', '/dev', '--bind', work, '/x', '--dir', '/home', '--unshare-pid']
    const inRoot = (mounts, times, ...programs) =>
      execFileSync('bwrap', [...root, ...mounts, '--', '/x/spawn', times, ...programs], {
        encoding: 'utf8',
        env: { HOME: '/x/home', SPAWN_ARGUMENT: argument },
      })
        .trim()
        .split('\n')
        .map(Number)
    rmSync(join(work, 'home'), { recursive: true, force: true })
    execFileSync('mkdir', [join(work, 'home')])
    const [first] = inRoot([], '1', `/x/${program}`)
    const [original, later] = inRoot(['--ro-bind', '/nix', '/nix'], rounds, `${store}/bin/${program}`, `/x/${program}`)
    const ms = ns => `${(ns / 1e6).toFixed(1)} ms`
    console.log(
      `${program.padEnd(8)} ${mb(tar).padStart(4)} MB ${mb(exe).padStart(5)} MB ${ms(first).padStart(13)}   ${ms(later)}: ${(later / original).toFixed(2)}x of the original (${argument})`,
    )
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
