/**
 * What is claimed of speed and scale (docs/speed.md): each row is a ratio to something that everybody knows, measured side
 * by side. Results go to docs/speed.json, docs/speed.svg and the table of docs/speed.md.
 *
 *     npm run bench [-- --size quick|full] [--rounds N] [--only ROW,...] [--out DIRECTORY]
 *
 * `quick` leaves out what takes minutes: 1 GB and more, 50,000 files and more, a chain of 5,000.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { chart } from './chart.mjs'
import { chain, manyBytes, manyFiles, manyLibraries, removeClosures } from './closures.mjs'
import { median, ratios, sideBySide, spread } from './measure.mjs'
import { fixtureOrNull, repository } from './programs.mjs'

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: 'full' },
    rounds: { type: 'string', default: '7' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
})
const isFull = options.size === 'full'
const rounds = Number(options.rounds)
const wanted = options.only?.split(',')

const command = join(repository, 'bin/bundle.js')
const here = name => join(import.meta.dirname, name)
/** In memory, so that a disk's write-back hides nothing; and on the disk. */
const memory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'storefree-bench-'))
const disk = mkdtempSync(join(tmpdir(), 'storefree-bench-'))
const bundle = (...args) => [process.execPath, command, ...args, '-q', '--force']
const remove = path => () => rmSync(path, { recursive: true, force: true })
/** A directory is made anew in each round, as a tree that is overwritten costs more. */
const into = (path, argv) => ({ before: remove(path), command: argv })
/** The same on the disk: ext4 looks long for inodes where many were freed within the last minute, so none are. */
const intoAnother = (path, argv) => ({
  before: () => existsSync(path) && renameSync(path, `${path}-${performance.now()}`),
  command: argv,
})
const seconds = runs => ({ wall: spread(runs.map(r => r.wall)), cpu: spread(runs.map(r => r.cpu)) })
const peak = runs => Math.max(...runs.map(r => r.peak))

const rows = []
/** @param goal the largest ratio that is good, null where none is set; `by` is what of a run is compared with it */
function row(name, { what, over, goal = null, by = 'wall', ...measured }) {
  const ratio = measured.ratio?.[by].median ?? measured.value
  rows.push({ name, what, over, goal, by, ...measured })
  const reached = goal === null ? '' : ratio <= goal ? '  reached' : '  MISSED'
  const figures = measured.ratio
    ? `wall ${figure(measured.ratio.wall)}  cpu ${figure(measured.ratio.cpu)}`
    : `${measured.value.toFixed(2)} ${measured.unit ?? 'x'}`
  console.log(`${what.padEnd(34)} / ${over.padEnd(34)} ${figures}${goal === null ? '' : `  goal ${goal}`}${reached}`)
}
const figure = ({ median, p5, p95 }) => `${median.toFixed(2)}x (${p5.toFixed(2)}-${p95.toFixed(2)})`

/** Ours beside theirs. */
function compare(name, { what, over, goal, by, ours, theirs, count = rounds }) {
  const runs = sideBySide({ ours, theirs }, count)
  const measured = { ratio: ratios(runs.ours, runs.theirs), ours: seconds(runs.ours), theirs: seconds(runs.theirs) }
  row(name, { what, over, goal, by, ...measured, peak: peak(runs.ours) })
}

const programs = {}
function store(attribute) {
  programs[attribute] ??= { path: fixtureOrNull(attribute === 'nginx' ? attribute : `full.${attribute}`) }
  const { path } = programs[attribute]
  if (path === null) console.log(`${attribute}: not there (npm run fixtures, test:full)`)
  return path
}

/** A bundle's tree, made once. */
function treeOf(path, name, ...args) {
  const tree = join(memory, `tree-${name}`)
  if (!existsSync(tree))
    execFileSync(process.execPath, [command, path, '-f', 'dir', '-o', tree, '-q', ...args], { stdio: 'ignore' })
  return tree
}

const groups = {
  start() {
    const [ours, theirs] = [
      [process.execPath, command, '--version'],
      [process.execPath, '-e', ''],
    ]
    compare('start', { what: 'bundle --version', over: "node -e ''", goal: 1.1, ours, theirs, count: rounds * 5 })
  },
  floor() {
    for (const [name, inMemory, onDisk] of [
      ['nginx', 1.5, 1.5],
      ['git', 2, 1],
    ]) {
      const path = store(name)
      if (path === null) continue
      const tree = treeOf(path, name)
      for (const [where, at, to, goal] of [
        ['memory', memory, into, inMemory],
        ['disk', disk, intoAnother, onDisk],
      ]) {
        const [a, b] = [join(at, 'ours'), join(at, 'theirs')]
        const ours = to(a, bundle(path, '-f', 'dir', '-o', a))
        const theirs = to(b, [process.execPath, here('floor.mjs'), tree, b])
        compare(`floor-${name}-${where}`, {
          what: `${name}, a directory (${where})`,
          over: 'the least Node program',
          goal,
          ours,
          theirs,
        })
      }
    }
  },
  ancestor() {
    for (const name of ['nginx', 'git', 'coreutils']) {
      const path = store(name)
      if (path === null) continue
      const [a, b] = [join(memory, 'ours'), join(memory, 'theirs')]
      const ours = into(a, bundle(path, '--data', 'none', '-f', 'dir', '-o', a))
      const theirs = into(b, [here('ancestor.sh'), path, b])
      compare(`ancestor-${name}`, {
        what: `${name} --data none`,
        over: "nix-bundle-exe's steps in shell",
        goal: 0.25,
        ours,
        theirs,
      })
    }
  },
  pack() {
    const path = store('git')
    if (path === null) return
    const tree = treeOf(path, 'git')
    const [gz, zst, dir] = [join(memory, 'git.tar.gz'), join(memory, 'git.tar.zst'), join(memory, 'ours')]
    const runs = sideBySide(
      {
        gz: bundle(path, '-o', gz),
        zst: bundle(path, '-o', zst),
        dir: into(dir, bundle(path, '-f', 'dir', '-o', dir)),
        gzip: `tar -C '${tree}' -c . | gzip -6 > '${join(memory, 'theirs.gz')}'`,
        zstd: `tar -C '${tree}' -c . | zstd -3 -q -c > '${join(memory, 'theirs.zst')}'`,
      },
      rounds,
    )
    row('pack-whole', { what: 'git -o git.tar.gz', over: 'tar | gzip -6', goal: 1, ratio: ratios(runs.gz, runs.gzip) })
    // What is left when the tree is there: the difference, round by round.
    const packing = of => of.map((run, i) => ({ wall: run.wall - runs.dir[i].wall, cpu: run.cpu - runs.dir[i].cpu }))
    for (const [name, ours, over, theirs, goal] of [
      ['gzip', runs.gz, 'tar | gzip -6', runs.gzip, 0.6],
      ['zstd', runs.zst, 'tar | zstd -3', runs.zstd, 1],
    ])
      row(`pack-${name}`, { what: `packing git, ${name} alone`, over, goal, ratio: ratios(packing(ours), theirs) })
  },
  verify() {
    const path = store('git')
    const grep = tree => `grep -rlaF /nix/store '${tree}' > /dev/null || true`
    if (path !== null) {
      const tree = treeOf(path, 'git')
      compare('verify-git', {
        what: "verify of git's bundle",
        over: 'grep -rlaF /nix/store',
        goal: 3,
        ours: bundle2('verify', tree),
        theirs: grep(tree),
      })
    }
    const [bytes, name] = isFull ? [1e9, '1 GB'] : [1e8, '100 MB']
    const large = manyBytes(bytes, loaderOf())
    compare('verify-large', {
      what: `verify of a tree of ${name}`,
      over: 'grep -rlaF /nix/store',
      goal: 1.3,
      ours: bundle2('verify', large),
      theirs: grep(large),
      count: Math.min(rounds, 3),
    })
  },
  memory() {
    for (const bytes of isFull ? [1e8, 1e9, 5e9] : [1e8]) {
      const path = manyBytes(bytes, loaderOf())
      const out = join(disk, 'large')
      const runs = sideBySide({ ours: into(out, bundle(path, '-f', 'dir', '-o', out)) }, 0)
      row(`memory-${bytes / 1e6}`, {
        what: `a closure of ${bytes / 1e6} MB, peak memory`,
        over: 'MB',
        goal: 300,
        unit: 'MB',
        value: peak(runs.ours) / 1e6,
        ours: seconds(runs.ours),
      })
      remove(out)()
      removeClosures()
    }
  },
  files() {
    const counts = isFull ? [1000, 10_000, 50_000, 100_000] : [1000, 10_000]
    const cpu = {}
    for (const count of counts) {
      const path = manyFiles(count, loaderOf())
      const [a, b] = [join(memory, 'ours'), join(memory, 'theirs')]
      const ours = into(a, bundle(path, '-f', 'dir', '-o', a))
      if (count === 10_000)
        compare('files-cp', {
          what: '10,000 small files',
          over: 'cp -r',
          goal: 2.5,
          ours,
          theirs: into(b, ['cp', '-r', path, b]),
        })
      const runs = sideBySide({ ours }, count > 10_000 ? 1 : rounds)
      cpu[count] = median(runs.ours.map(r => r.cpu))
      row(`files-memory-${count}`, {
        what: `${count} small files, peak memory`,
        over: 'MB',
        goal: 300,
        unit: 'MB',
        value: peak(runs.ours) / 1e6,
        ours: seconds(runs.ours),
      })
      remove(a)()
      remove(b)()
      removeClosures()
    }
    for (const [count, goal] of [
      [50_000, 5.2],
      [100_000, 10.5],
    ])
      if (cpu[count])
        row(`files-growth-${count}`, {
          what: `${count} small files, CPU time`,
          over: '10,000 small files',
          goal,
          value: cpu[count] / cpu[10_000],
        })
  },
  libraries() {
    const cpu = {}
    const cases = [
      ...(isFull ? [10, 100, 1000] : [10, 100]).map(n => ['libraries', n, manyLibraries]),
      ['chain', isFull ? 5000 : 500, chain],
    ]
    for (const [kind, count, make] of cases) {
      const path = make(count, loaderOf())
      const out = join(memory, 'ours')
      const runs = sideBySide(
        { ours: into(out, bundle(path, '-f', 'dir', '-o', out)) },
        count > 1000 ? 1 : Math.min(rounds, 3),
      )
      cpu[`${kind} ${count}`] = median(runs.ours.map(r => r.cpu))
      row(`${kind}-${count}`, {
        what: kind === 'chain' ? `a chain of ${count} libraries` : `${count} libraries`,
        over: 'ms of CPU a library',
        unit: 'ms',
        value: (cpu[`${kind} ${count}`] / count) * 1000,
        ours: seconds(runs.ours),
        peak: peak(runs.ours),
      })
      removeClosures()
    }
  },
}

const bundle2 = (verb, path) => [process.execPath, command, verb, path, '-q']
/** A program whose loader and C library those of the synthetic closures are. */
const loaderOf = () => join(store('nginx'), 'bin/nginx')

process.on('SIGINT', () => process.exit(130))
process.on('exit', () => {
  removeClosures()
  for (const at of [memory, disk]) remove(at)()
})
for (const [name, measure] of Object.entries(groups)) if (!wanted || wanted.includes(name)) measure()

const out = options.out ?? join(repository, 'docs')
mkdirSync(out, { recursive: true })
const about = { node: process.version, cpu: cpus()[0]?.model ?? '', cores: cpus().length, size: options.size, rounds }
// A part of the rows is no table for the docs.
if (!wanted || options.out) {
  writeFileSync(join(out, 'speed.json'), `${JSON.stringify({ about, rows }, null, 1)}\n`)
  writeFileSync(join(out, 'speed.svg'), chart(rows))
  if (!options.out) writeTable(join(out, 'speed.md'))
}

/** Puts the rows between the marks of the page. */
function writeTable(path) {
  const ratio = spread => (spread ? `${spread.median.toFixed(2)}x` : '')
  const lines = rows.map(({ what, over, goal, unit, value, ratio: measured }) => {
    const isRatio = unit === undefined
    const [wall, cpu] = measured ? [ratio(measured.wall), ratio(measured.cpu)] : ['', '']
    const single =
      value === undefined ? '' : `${value.toFixed(isRatio ? 2 : unit === 'MB' ? 0 : 1)}${isRatio ? 'x' : ` ${unit}`}`
    const aim = goal === null ? '' : isRatio ? `${goal}x` : `${goal} ${unit}`
    return `| ${what} | ${over.replaceAll('|', '\\|')} | ${wall}${single} | ${cpu} | ${aim} |`
  })
  const made = `Medians of ${rounds} round${rounds === 1 ? '' : 's'}, size \`${options.size}\`, Node ${process.version.slice(1)}, ${about.cores} cores (${about.cpu}).`
  const table = ['| | over | wall clock | CPU | goal |', '|---|---|---|---|---|', ...lines].join('\n')
  const [before, rest] = readFileSync(path, 'utf8').split('<!-- figures: npm run bench writes them -->\n')
  const after = rest.slice(rest.indexOf('<!-- end of figures -->'))
  writeFileSync(path, `${before}<!-- figures: npm run bench writes them -->\n\n${made}\n\n${table}\n\n${after}`)
}
