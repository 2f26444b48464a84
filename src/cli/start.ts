/** What bin/bundle.js begins with: `--version` is answered at once, for which nothing else need be read. */
import { VERSION } from '../version.ts'

const [, , word = '', ...rest] = process.argv
if (rest.length === 0 && ['--version', '-V'].includes(word)) {
  // Whoever reads it may have gone (`| true`).
  process.stdout.on('error', error => {
    if (!('code' in error && error.code === 'EPIPE')) throw error
  })
  process.stdout.write(`${VERSION}\n`)
} else void import('./compiled.ts').then(({ runCompiled }) => runCompiled(word))
