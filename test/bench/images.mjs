/** What layers save: six programs of one package set as images, in megabytes as they lie in a registry. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const repository = resolve(import.meta.dirname, '../..')
const PROGRAMS = ['full.nginx', 'full.git', 'full.curl', 'full.python3', 'full.perl', 'full.bash']
const work = mkdtempSync(join(tmpdir(), 'storefree-images-'))
const environment = Object.fromEntries(
  execFileSync('bash', ['-c', '. native-fixtures/env.sh; env -0'], { cwd: repository, encoding: 'utf8' })
    .split('\0')
    .filter(line => line.includes('='))
    .map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
)
const bundle = (...args) =>
  JSON.parse(
    execFileSync(process.execPath, [join(repository, 'bin/bundle.js'), ...args, '--json'], {
      env: { ...environment, NIX_PATH: `nixpkgs=${repository}/native-fixtures` },
      encoding: 'utf8',
      maxBuffer: 1 << 30,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  )
const mb = bytes => (bytes / 1e6).toFixed(1).padStart(8)

try {
  const blobs = new Map()
  let single = 0
  let closures = 0
  console.log('  closure   tar.gz    image  (MB; the closure is not compressed)')
  for (const program of PROGRAMS) {
    const name = program.slice('full.'.length)
    const image = bundle(program, '--entrypoint', name, '-o', join(work, `${name}.oci.tar`))
    const tar = bundle(program, '--prefix', '/app', '-o', join(work, `${name}.tar.gz`))
    for (const { digest, size } of image.image.layers) blobs.set(digest, size)
    single += tar.sizes.output
    closures += image.sizes.closure
    console.log(`${mb(image.sizes.closure)} ${mb(tar.sizes.output)} ${mb(image.sizes.output)}  ${name}`)
  }
  const unique = [...blobs.values()].reduce((sum, size) => sum + size, 0)
  console.log(
    `${mb(closures)} ${mb(single)} ${mb(unique)}  all, each blob once: ${(unique / single).toFixed(2)} of one layer each`,
  )
} finally {
  rmSync(work, { recursive: true, force: true })
}
