/** The licences of the packages that are in the built files, as they ask for: dist/THIRD-PARTY.txt. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

const META = 'dist/index.meta.json'
const inputs = Object.keys(JSON.parse(readFileSync(META, 'utf8')).inputs)
// The command line has one more than the library.
const names = ['commander', ...inputs.map(path => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])]
const texts = [...new Set(names.filter(Boolean))].sort().map(name => {
  const directory = `node_modules/${name}`
  const { version, license } = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8'))
  const file = readdirSync(directory).find(entry => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name}: no licence text`)
  return `${name} ${version} (${license})\n\n${readFileSync(`${directory}/${file}`, 'utf8').trim()}\n`
})
rmSync(META)
writeFileSync('dist/THIRD-PARTY.txt', texts.join(`\n${'-'.repeat(80)}\n\n`))
