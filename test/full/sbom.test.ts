/** Bills of materials of programs with thousands of files, read again by a program that shares no code with us. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { mustBundle, temporary } from '../support/bundle.ts'
import { bundles } from '../support/jobs.ts'

describe.each(['nginx', 'git', 'python3'])('%s', name => {
  const made = bundles()

  test('each file is in one component, with the digests that Python finds; nothing leads nowhere', () => {
    const place = made(`full.${name}`)
    const document = join(temporary(), 'sbom.json')
    writeFileSync(document, mustBundle(['sbom', place]).stdout)
    const counted = execFileSync('python3', ['test/support/sbom-reader.py', document, place], { encoding: 'utf8' })
    const { packages, files, cpe } = JSON.parse(counted)
    expect(packages).toBeGreaterThan(5)
    expect(cpe).toBeGreaterThan(4)
    expect(files).toBe(Number(execFileSync('sh', ['-c', 'find "$0" -type f | wc -l', place], { encoding: 'utf8' })))
  })
})
