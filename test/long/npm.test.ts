/**
 * Programs of 35 npm packages, in the three forms in which nixpkgs installs such, beside their originals. What is
 * installed is native-fixtures/npm/package-lock.json.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Beside, besideOriginal, type Jobs } from '../support/beside-original.ts'
import { fixture, repository } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'
import { patchShebangs, wrap } from '../support/store-shape.ts'

/** By program, a job that is more than --version and --help; `$T` is the package's root. */
const JOBS: Jobs = {
  acorn: `echo 'var a = 1 + 2' > acorn.js; $T/bin/acorn --ecma2020 acorn.js; echo 'var' | $T/bin/acorn`,
  conc: `$T/bin/conc --raw 'echo only'`,
  concurrently: `$T/bin/concurrently --max-processes 1 -n a,b 'echo 1' 'exit 3'`,
  cowsay: `$T/bin/cowsay -f tux hello; $T/bin/cowsay -l`,
  cowthink: `$T/bin/cowthink hello`,
  'cross-env': `$T/bin/cross-env A=b sh -c 'echo "$A"'`,
  'cross-env-shell': `$T/bin/cross-env-shell A=b 'echo "$A"'`,
  esbuild: `echo 'let a: number = 1; export {a}' > es.ts; $T/bin/esbuild es.ts --format=cjs --minify; $T/bin/esbuild nothing.ts 2>&1 | sed 's/pid: .*//'`,
  eslint: `echo 'export default [{ rules: { "no-var": "error" } }]' > eslint.config.mjs; echo 'var x = 1' > es.js; $T/bin/eslint es.js; $T/bin/eslint --fix es.js; cat es.js`,
  handlebars: `echo 'Hi {{name}}' > a.hbs; $T/bin/handlebars a.hbs`,
  he: `$T/bin/he --encode 'a<é>'; echo '&lt;' | $T/bin/he --decode`,
  'http-server': `echo page > page.txt; port=$((20000 + $$ % 10000)); NODE_NO_WARNINGS=1 $T/bin/http-server -s -p $port & for i in $(seq 50); do curl -sf http://127.0.0.1:$port/page.txt && break; sleep 0.2; done; kill $!`,
  'js-yaml': `printf 'a: [1, 2]\\nb: &x {c: d}\\ne: *x\\n' | $T/bin/js-yaml; echo 'a: [' | $T/bin/js-yaml`,
  jshint: `echo 'var a = 1' > js.js; $T/bin/jshint --verbose js.js`,
  json5: `echo "{a: 1, /* c */}" | $T/bin/json5`,
  lessc: `echo '@c: red; a { b { color: darken(@c, 10%) } }' > a.less; $T/bin/lessc a.less; $T/bin/lessc --source-map a.less a.css; cat a.css.map; $T/bin/lessc nothing.less`,
  marked: `echo '# Hi *x*' | $T/bin/marked; echo 'a | b' > m.md; $T/bin/marked -i m.md`,
  mime: `$T/bin/mime a.png; $T/bin/mime a.nothing`,
  mkdirp: `$T/bin/mkdirp --print a/b/c; ls -d a/b/c`,
  mocha: `mkdir -p test; echo 'it("works", () => {}); it("fails", () => { throw new Error("no") })' > test/a.js; $T/bin/mocha --reporter tap`,
  nanoid: `$T/bin/nanoid --size 10 | wc -c; $T/bin/nanoid --alphabet a --size 5`,
  'node-which': `$T/bin/node-which sh; $T/bin/node-which none-such`,
  nopt: `$T/bin/nopt --a=1 --no-b c`,
  prettier: `echo 'a  (  1,"x" )' | $T/bin/prettier --stdin-filepath a.js; printf 'a:   [1]\\n' > p.yml; $T/bin/prettier --check p.yml; echo '<p>a' > p.html; $T/bin/prettier p.html; echo '{' | $T/bin/prettier --parser css`,
  resolve: `mkdir -p node_modules/zz; echo x > node_modules/zz/index.js; $T/bin/resolve zz; $T/bin/resolve none-such`,
  rimraf: `mkdir -p r/s; $T/bin/rimraf r; ls -d r`,
  rollup: `echo 'import {a} from "./m.mjs"; console.log(a)' > i.mjs; echo 'export const a = 1' > m.mjs; $T/bin/rollup i.mjs -f cjs --silent`,
  sass: `printf '@use "sass:math"; $c: red; a { b { color: $c; width: math.div(10px, 3) } }' > a.scss; $T/bin/sass a.scss; $T/bin/sass a.scss sass.css; cat sass.css sass.css.map; echo 'a {' | $T/bin/sass --stdin`,
  semver: `$T/bin/semver -r '^1.2' 1.2.3 1.3.0 2.0.0; $T/bin/semver -i minor 1.2.3; $T/bin/semver x`,
  svgo: `echo '<svg xmlns="http://www.w3.org/2000/svg"><g><path d="M 0 0 L 10 10"/></g></svg>' > a.svg; $T/bin/svgo -i a.svg -o -; $T/bin/svgo --show-plugins`,
  terser: `echo 'function f(long) { return long + 1 } f(2)' > te.js; $T/bin/terser te.js -c -m --toplevel; echo '(' | $T/bin/terser`,
  'ts-node': `echo 'const a: string = "typed"; console.log(a, process.argv.slice(2))' > tn.ts; $T/bin/ts-node tn.ts x; $T/bin/ts-node -e 'const n: number = "a"'; $T/bin/ts-node -p '1 as number'`,
  'ts-node-cwd': `echo 'console.log(__filename)' > tc.ts; $T/bin/ts-node-cwd tc.ts`,
  'ts-node-esm': `echo 'console.log(import.meta.url.slice(-5))' > te.mts; $T/bin/ts-node-esm te.mts 2>&1 | sed 's/MessagePort.handleMessage/handleMessage/'`,
  'ts-node-script': `echo 'console.log("script" as string)' > ts.ts; $T/bin/ts-node-script ts.ts`,
  'ts-node-transpile-only': `echo 'const a: number = "no"; console.log(a)' > tt.ts; $T/bin/ts-node-transpile-only tt.ts`,
  'ts-script': `echo 'console.log("old" as string)' > to.ts; $T/bin/ts-script to.ts`,
  tsc: `echo 'let a: string = 1; export const b = async () => [...new Set([a])]' > t.ts; $T/bin/tsc --strict --target es5 --lib es2020 t.ts; cat t.js`,
  tsserver: `printf '%s\\n' '{"seq":1,"type":"request","command":"status"}' '{"seq":2,"type":"request","command":"exit"}' | $T/bin/tsserver --disableAutomaticTypingAcquisition`,
  uglifyjs: `echo 'function f(x) { return x }' > u.js; $T/bin/uglifyjs -m --toplevel u.js; $T/bin/uglifyjs --self -o self.js; wc -c < self.js`,
  uuid: `$T/bin/uuid v5 hello 6ba7b810-9dad-11d1-80b4-00c04fd430c8; $T/bin/uuid | wc -c`,
  yaml: `printf 'a: [1, 2] # x\\n' | $T/bin/yaml; printf 'a: [1, 2]\\n' | $T/bin/yaml --json; printf 'a: [1' | $T/bin/yaml valid`,
  zx: `echo 'const o = await $\`echo from a shell\`; console.log(o.stdout, argv._, __filename.slice(-5))' > z.mjs; $T/bin/zx --quiet z.mjs x; printf '# doc\\n\\n\`\`\`js\\necho("md")\\n\`\`\`\\n' > z.md; $T/bin/zx z.md`,
}

const PROGRAMS = Object.keys(JOBS)
/** A server, which starts another one unless it is told not to. */
const IS_SERVER = /^tsserver$/
const asked = (program: string): Jobs => ({
  ...(IS_SERVER.test(program)
    ? {}
    : {
        [`${program} --version`]: `timeout 60 $T/bin/${program} --version < /dev/null`,
        [`${program} --help`]: `timeout 60 $T/bin/${program} --help < /dev/null`,
      }),
  [program]: JOBS[program]!,
})

/** The `bin` of the packages that were asked for, by program: a path below node_modules. */
function binsOf(modules: string): Map<string, string> {
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  const packages = Object.keys(json(join(repository, 'native-fixtures/npm/package.json')).dependencies as object)
  return new Map(
    packages.flatMap(name => {
      const { bin } = json(join(modules, name, 'package.json')) as { bin: string | Record<string, string> }
      const bins = typeof bin === 'string' ? { [name]: bin } : bin
      return Object.entries(bins).map(([program, path]) => [program, join(name, path)] as const)
    }),
  )
}

/** Node in a store path, started by the fixtures' loader. */
function nodejs(): string {
  const root = storePath('nodejs-20', { 'bin/node': { from: process.execPath } })
  const node = join(root, 'bin/node')
  chmodSync(node, 0o755)
  const [glibc, libstdcxx] = [fixture('glibc'), fixture('libstdcxx')]
  const loader = `${glibc}/lib/ld-linux-x86-64.so.2`
  execFileSync('patchelf', ['--set-interpreter', loader, '--set-rpath', `${glibc}/lib:${libstdcxx}/lib`, node])
  return node
}

let modules: string
let node: string
beforeAll(() => {
  const installed = execFileSync(join(repository, 'native-fixtures/npm.sh'), { encoding: 'utf8' }).trim()
  modules = join(installed, 'node_modules')
  node = nodejs()
})

/** All packages in one store path. */
function installed(form: string): string {
  const root = storePath('npm-tools-1.0')
  const own = join(root, 'lib/node_modules')
  cpSync(modules, own, { recursive: true, verbatimSymlinks: true })
  patchShebangs(root, { node, sh: `${fixture('bash')}/bin/sh`, bash: `${fixture('bash')}/bin/bash` })
  mkdirSync(join(root, 'bin'))
  const bins = [...binsOf(modules)]
  if (form === 'linked')
    for (const [name, path] of bins) symlinkSync(relative(join(root, 'bin'), join(own, path)), join(root, 'bin', name))
  else
    wrap(
      form === 'wrapped' ? 'make_wrapper' : 'make_binary_wrapper',
      bins.map(([name, path]) => ({
        program: node,
        wrapper: join(root, 'bin', name),
        options: ['--set', 'NODE_ENV', 'production', '--prefix', 'PATH', ':', `${fixture('bash')}/bin`].concat([
          '--add-flags',
          join(own, path),
        ]),
      })),
    )
  return root
}

test('there is a job for each program', () => {
  expect([...binsOf(modules).keys()].sort()).toEqual([...PROGRAMS].sort())
})

// buildNpmPackage's, the same with makeBinaryWrapper, node2nix's.
describe.each(['wrapped', 'wrapped by binaries', 'linked'])('%s', form => {
  let beside: Beside
  beforeAll(() => {
    beside = besideOriginal(installed(form), Object.assign({}, ...PROGRAMS.map(asked)) as Jobs)
  }, 1_800_000)

  test.each(PROGRAMS)('%s', program => {
    const of = (printed: Jobs) => Object.fromEntries(Object.keys(asked(program)).map(job => [job, printed[job]]))
    expect(beside.original[program]).toMatch(/exit \d+$/)
    expect.soft(of(beside.relocatable)).toEqual(of(beside.original))
    expect.soft(of(beside.prefix)).toEqual(of(beside.original))
  })

  test('nothing is said', () => {
    expect(beside.said).toEqual({ relocatable: '', prefix: '' })
  })
})
