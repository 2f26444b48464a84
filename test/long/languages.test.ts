/**
 * Programs of Go and Rust, which put strings side by side without an end: of every shape in which they name store paths,
 * beside the original. Needs Debian's golang-go and rustc.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { besideOriginal, type Jobs } from '../support/beside-original.ts'
import { fixture, run, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

const glibc = fixture('glibc')
const loader = `${glibc}/lib/ld-linux-x86-64.so.2`
const bash = fixture('bash')
const dep = storePath('hdep-1.0', {
  'bin/dep': `#!${bash}/bin/bash\necho "dep runs: $*"\n`,
  'bin/d': `#!${bash}/bin/bash\necho "d runs"\n`,
  'bin/dep-helper': `#!${bash}/bin/bash\necho "helper runs"\n`,
  'share/hdep/a.conf': 'what a.conf says\n',
  'share/hdep/a.conf.d/x': 'x of a.conf.d\n',
  'share/hdep/page/index.html': 'a page\n',
  'share/hdep/b': 'what b says\n',
  'share/hdep/page/b.txt': 'b.txt\n',
  lib64: { link: 'lib' },
  'lib/hdep/mod.txt': 'a module\n',
})
const other = storePath('odep-2.1', {
  'bin/tool': `#!${bash}/bin/bash\necho "tool runs"\n`,
  'etc/o.json': '{"a": 1}\n',
})

interface Program {
  readonly source: string
  readonly more?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What is done to the file after it is built. */
  readonly after?: string
  readonly job?: string
  /** What both bundles cannot bring, and say. */
  readonly warns?: RegExp
}

const GO_PRELUDE = `
func read(p string) { b, err := os.ReadFile(p); if err != nil { fmt.Println("NO", err) } else { fmt.Print(string(b)) } }
func sh(p string, a ...string) { b, err := exec.Command(p, a...).CombinedOutput(); fmt.Print(string(b)); if err != nil { fmt.Println("NO", err) } }
`
const go = (body: string, top = '', imports = ''): string =>
  `package main\nimport (\n"fmt"\n"os"\n"os/exec"\n${imports}\n)\n${top}\n${GO_PRELUDE}\nfunc main() {\n_ = fmt.Sprint\n${body}\n}\n`

const GO: Readonly<Record<string, Program>> = {
  constant: { source: go('sh(Dep, "x")', `const Dep = "${dep}/bin/dep"`) },
  'constants of one package, one the beginning of another': {
    source: go(
      `for _, p := range []string{"${dep}/bin/d", "${dep}/bin/dep", "${dep}/bin/dep-helper"} { sh(p) }
      read("${dep}/share/hdep/a.conf"); read("${dep}/share/hdep/b"); read("${dep}/share/hdep/a.conf.d/x")`,
    ),
  },
  'ldflags -X': { source: go('sh(Dep)', 'var Dep = "dep"'), flags: ['-ldflags', `-X main.Dep=${dep}/bin/dep`] },
  'ldflags -X, -s -w, -trimpath': {
    source: go('sh(Dep); read(Conf)', 'var Dep, Conf string'),
    flags: ['-trimpath', '-ldflags', `-s -w -X main.Dep=${dep}/bin/dep -X main.Conf=${dep}/share/hdep/a.conf`],
  },
  map: {
    source: go(
      'for _, k := range []string{"dep","tool"} { sh(tools[k]) }; _, err := os.Stat(tools["none"]); fmt.Println(err)',
      `var tools = map[string]string{"dep": "${dep}/bin/dep", "tool": "${other}/bin/tool", "none": "${other}/bin/none"}`,
    ),
    warns:
      /^warning: .*names 1 path into 1 package that leads to nothing in the bundle: odep-2\.1 \(odep-2\.1\/bin\/none.*\n$/,
  },
  embed: {
    source: go(
      'for _, l := range strings.Split(strings.TrimSpace(conf), "\\n") { read(strings.SplitN(l, "=", 2)[1]) }',
      '//go:embed app.conf\nvar conf string',
      '_ "embed"\n"strings"',
    ),
    more: { 'app.conf': `a=${dep}/share/hdep/a.conf\nb=${other}/etc/o.json\n` },
  },
  'embed.FS': {
    source: go(
      'b, _ := fs.ReadFile("data/app.conf"); read(string(b[2:len(b)-1]))',
      '//go:embed data\nvar fs embed.FS',
      '"embed"',
    ),
    more: { 'data/app.conf': `a=${dep}/share/hdep/a.conf\n`, 'data/other.txt': `${other}/etc/o.json` },
  },
  'joined when it is compiled': {
    source: go(
      'sh(Bin + "/dep"); read(Share)',
      `const Root = "${dep}"\nconst Bin = Root + "/bin"\nconst Share = Root + "/share/hdep/b"`,
    ),
  },
  'joined when it runs, below a directory': {
    source: go(
      'read(filepath.Join(dir, "page", "b.txt")); sh(fmt.Sprintf("%s/dep", bin))',
      `var dir = "${dep}/share/hdep"\nvar bin = "${dep}/bin"`,
      '"path/filepath"',
    ),
  },
  'through a link': { source: go(`read("${dep}/lib64/hdep/mod.txt")`) },
  pie: { source: go('sh(Dep)', `const Dep = "${dep}/bin/dep"`), flags: ['-buildmode=pie', '-ldflags', `-I ${loader}`] },
  cgo: {
    source: go('sh(Dep); sh(C.GoString(C.path()))', `const Dep = "${dep}/bin/dep"`).replace(
      'import (',
      `// static const char *const p = "${other}/bin/tool";\n// const char *path(void) { return p; }\nimport "C"\nimport (`,
    ),
    env: { CGO_ENABLED: '1' },
    flags: ['-ldflags', `-linkmode external -extldflags "-Wl,--dynamic-linker=${loader} -Wl,-rpath,${glibc}/lib"`],
  },
  'cgo, static, by the external linker': {
    source: go('sh(Dep); sh(C.GoString(C.path()))', `const Dep = "${dep}/bin/dep"`).replace(
      'import (',
      `// static const char *const p = "${other}/bin/tool";\n// const char *path(void) { return p; }\nimport "C"\nimport (`,
    ),
    env: { CGO_ENABLED: '1' },
    flags: ['-ldflags', '-linkmode external -extldflags "-static"'],
  },
  stripped: { source: go('sh(Dep)', `const Dep = "${dep}/bin/dep"`), after: 'strip "$1"' },
  'a PATH': {
    source: go(
      'os.Setenv("PATH", path + ":" + os.Getenv("PATH")); sh("dep"); sh("tool")',
      `const path = "${dep}/bin:${other}/bin"`,
    ),
  },
  'bytes and arrays': {
    source: go(
      'read(string(b)); read(string(a[:])); for _, p := range l { read(p) }',
      `var b = []byte("${dep}/share/hdep/a.conf")\nvar a = [...]byte{${[...`${dep}/share/hdep/b`].map(c => c.charCodeAt(0)).join(',')}}\nvar l = [2]string{"${other}/etc/o.json", "${dep}/share/hdep/b"}`,
    ),
  },
  'a script in a raw string': {
    source: go(
      `sh("${bash}/bin/bash", "-c", script)`,
      `const script = \`set -e\n${dep}/bin/dep from script\ncat < ${dep}/share/hdep/a.conf\n\``,
    ),
  },
  'a template, struct tags and JSON': {
    source: go(
      `t := template.Must(template.New("").Parse("{{.Conf}} at ${dep}/share/hdep/b\\n")); var c C; json.NewDecoder(strings.NewReader(j)).Decode(&c)
      t.Execute(os.Stdout, c); f, _ := reflect.TypeOf(c).FieldByName("Conf"); read(f.Tag.Get("default")); read(c.Conf)`,
      `type C struct { Conf string \`default:"${dep}/share/hdep/a.conf" json:"conf"\` }\nconst j = \`{"conf": "${other}/etc/o.json"}\``,
      '"text/template"\n"encoding/json"\n"reflect"\n"strings"',
    ),
  },
  'a server of a directory': {
    source: go(
      `s := httptest.NewServer(http.FileServer(http.Dir("${dep}/share/hdep/page"))); r, err := http.Get(s.URL + "/b.txt"); if err != nil { fmt.Println(err); return }; b, _ := io.ReadAll(r.Body); fmt.Print(string(b))`,
      '',
      '"net/http"\n"net/http/httptest"\n"io"',
    ),
  },
  'not optimised': {
    source: go(`sh(Dep); read("${dep}/share/hdep/b")`, `const Dep = "${dep}/bin/dep"`),
    flags: ['-gcflags=all=-N -l'],
  },
  compared: {
    source: go(
      `for _, p := range os.Args[1:] { switch p { case "${dep}/bin/dep": fmt.Println("dep"); case "${other}/bin/tool": fmt.Println("tool"); default: fmt.Println("other", strings.HasPrefix(p, "${dep}/")) } }
       sh("${dep}/bin/dep")`,
      '',
      '"strings"',
    ),
    job: '$T/bin/ask a b',
    warns: /^warning: .*: hdep-1\.0 \(.*\n$/,
  },
  'syscall.Exec': {
    source: go(
      `fmt.Println(syscall.Exec("${dep}/bin/dep", []string{"dep", "x"}, os.Environ()))`,
      'var _ = exec.Command',
      '"syscall"',
    ),
  },
  'a hundred paths, and its own place': {
    source: go(
      'for _, p := range l { if _, err := os.Stat(p); err != nil { fmt.Println(err) } }; e, _ := os.Executable(); fmt.Println(e); read(filepath.Join(filepath.Dir(e), "../share/own"))',
      `var l = []string{${Array.from({ length: 100 }, (_, i) => `"${[dep, other][i % 2]}${i % 2 ? '/etc/o.json' : '/share/hdep/a.conf'}${'/.'.repeat(i >> 2)}"`).join(',')}}`,
      '"path/filepath"',
    ),
  },
}
const RUST_PRELUDE = `
use std::process::Command; use std::fs;
fn read(p: &str) { match fs::read_to_string(p) { Ok(t) => print!("{}", t), Err(e) => println!("NO {} {}", p, e) } }
fn sh(p: &str, a: &[&str]) { match Command::new(p).args(a).output() { Ok(o) => print!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)), Err(e) => println!("NO {} {}", p, e) } }
`
const rust = (body: string, top = ''): string => `#![allow(unused)]\n${RUST_PRELUDE}\n${top}\nfn main() {\n${body}\n}\n`
const RUST: Readonly<Record<string, Program>> = {
  '&str': { source: rust('sh(DEP, &["x"]);', `const DEP: &str = "${dep}/bin/dep";`) },
  'static array': {
    source: rust(
      'for p in TOOLS { sh(p, &[]); } for p in FILES.iter() { read(p); }',
      `static TOOLS: [&str; 3] = ["${dep}/bin/d", "${dep}/bin/dep", "${other}/bin/tool"];\nstatic FILES: &[&str] = &["${dep}/share/hdep/a.conf", "${dep}/share/hdep/b"];`,
    ),
    flags: ['-O'],
  },
  'format!': {
    source: rust(
      `for n in ["a.conf", "b"] { read(&format!("${dep}/share/hdep/{}", n)); } println!("at {}", concat!("${dep}", "/share/hdep/b")); read(concat!("${dep}", "/share/hdep/b"));`,
    ),
    flags: ['-O'],
  },
  'include_str!, include_bytes!': {
    source: rust(
      'for l in include_str!("app.conf").lines() { read(&l[2..]); } let b = include_bytes!("app.bin"); read(std::str::from_utf8(&b[1..b.len()-1]).unwrap());',
    ),
    more: {
      'app.conf': `a=${dep}/share/hdep/a.conf\nb=${other}/etc/o.json\n`,
      'app.bin': `\x01${dep}/share/hdep/b\x01`,
    },
    flags: ['-C', 'opt-level=s'],
  },
  'env!, option_env!': {
    source: rust('sh(env!("DEP"), &[]); read(option_env!("CONF").unwrap_or("none"));'),
    env: { DEP: `${dep}/bin/dep`, CONF: `${dep}/share/hdep/a.conf` },
    flags: ['-O', '-C', 'lto'],
  },
  CString: {
    source: rust(
      `unsafe { let c = CString::new("${dep}/share/hdep/a.conf").unwrap(); println!("{}", access(c.as_ptr(), 4)); println!("{}", access("${dep}/share/hdep/b\\0".as_ptr() as *const _, 4)); println!("{}", access(C.as_ptr() as *const _, 4)); }`,
      `use std::ffi::CString; use std::os::raw::c_char; extern "C" { fn access(p: *const c_char, m: i32) -> i32; }\nstatic C: &[u8] = b"${other}/etc/o.json\\0";`,
    ),
    flags: ['-C', 'opt-level=3', '-C', 'panic=abort'],
  },
  'a match and a thread': {
    source: rust(
      `let t = std::thread::spawn(|| { read(pick("a")); read(pick("b")); read(pick("c")); }); t.join().unwrap();`,
      `fn pick(k: &str) -> &'static str { match k { "a" => "${dep}/share/hdep/a.conf", "b" => "${other}/etc/o.json", _ => "${dep}/share/hdep/b" } }`,
    ),
    flags: ['-C', 'opt-level=s', '-C', 'lto', '-C', 'panic=abort'],
  },
  'String and Vec, stripped': {
    source: rust(
      `let mut v: Vec<String> = vec!["${dep}/bin/dep".to_string(), String::from("${other}/bin/tool")]; v.sort_by_key(|p| p.len()); for p in &v { sh(p, &[]); } let p = "${dep}/share/hdep".to_owned() + "/page/b.txt"; read(&p); let b = std::path::Path::new("${dep}").join("share/hdep/b"); println!("{}", b.display());`,
    ),
    flags: ['-O'],
    after: 'strip "$1"',
    // The root alone, which Path::join goes on from.
    warns: /^warning: .*: hdep-1\.0 \(.*\n$/,
  },
  PATH: {
    source: rust(
      `std::env::set_var("PATH", format!("{}:{}", PATH, std::env::var("PATH").unwrap_or_default())); sh("dep", &[]); sh("tool", &[]); println!("{:?}", std::env::current_exe().unwrap()); read(std::env::current_exe().unwrap().parent().unwrap().join("../share/own").to_str().unwrap());`,
      `const PATH: &str = "${dep}/bin:${other}/bin";`,
    ),
  },
  'static, by crt-static': {
    source: rust(
      'sh(DEP, &["x"]); read(CONF);',
      `const DEP: &str = "${dep}/bin/dep"; static CONF: &str = "${dep}/share/hdep/a.conf";`,
    ),
    flags: ['-O', '-C', 'target-feature=+crt-static'],
  },
  'static at a fixed address': {
    source: rust(
      'sh(DEP, &["x"]); read(CONF);',
      `const DEP: &str = "${dep}/bin/dep"; static CONF: &str = "${dep}/share/hdep/a.conf";`,
    ),
    flags: ['-O', '-C', 'target-feature=+crt-static', '-C', 'relocation-model=static'],
  },
}

/** A store path with the built program as bin/ask. */
function built(name: string, program: Program, command: (at: string) => readonly string[], main: string): string {
  const work = temporary()
  const root = storePath(name, { 'share/own': 'own data\n' })
  mkdirSync(join(root, 'bin'))
  for (const [file, text] of Object.entries({ [main]: program.source, ...program.more })) {
    mkdirSync(join(work, dirname(file)), { recursive: true })
    writeFileSync(join(work, file), text)
  }
  const cache = process.env.GOCACHE ?? '/tmp/storefree-go-cache'
  const env = { ...process.env, GOCACHE: cache, GO111MODULE: 'off', GOFLAGS: '', CGO_ENABLED: '0', ...program.env }
  const [file = '', ...args] = command(join(root, 'bin/ask'))
  const made = run(file, args, { cwd: work, env })
  if (made.code !== 0) throw new Error(made.stderr)
  if (program.after) run('sh', ['-ec', program.after, 'sh', join(root, 'bin/ask')])
  return root
}

const linked = [
  '-C',
  `link-args=-Wl,--dynamic-linker=${loader} -Wl,-rpath,${glibc}/lib -Wl,-rpath,${fixture('libstdcxx')}/lib`,
]

describe.each([
  {
    language: 'Go',
    programs: GO,
    main: 'main.go',
    compiler: (p: Program) => (at: string) => ['go', 'build', ...(p.flags ?? []), '-o', at, 'main.go'],
  },
  {
    language: 'Rust',
    programs: RUST,
    main: 'main.rs',
    compiler: (p: Program) => (at: string) => [
      ...['/usr/bin/rustc', ...(p.flags ?? []), 'main.rs', '-o', at],
      ...(p.flags?.some(flag => flag.includes('crt-static')) ? [] : linked),
    ],
  },
])('$language', ({ programs, main, compiler }) => {
  test.each(Object.keys(programs))('%s', name => {
    const program = programs[name]!
    const root = built('asker-1.0', program, compiler(program), main)
    const jobs: Jobs = { run: program.job ?? '$T/bin/ask' }
    const beside = besideOriginal(root, jobs)
    expect(beside.original.run).toMatch(/exit 0$/)
    expect.soft(beside.original.run).not.toMatch(/^NO/m)
    expect.soft(beside.relocatable).toEqual(beside.original)
    expect.soft(beside.prefix).toEqual(beside.original)
    for (const said of Object.values(beside.said))
      if (program.warns) expect.soft(said).toMatch(program.warns)
      else expect.soft(said).toEqual('')
  })
})
