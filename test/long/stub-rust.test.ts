/** A Rust program with the stub: panics unwind, threads and thread-local values work. Needs rustc. */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporary } from '../support/bundle.ts'
import { output } from '../support/elf-tools.ts'
import { inject, layOut, ROOT, say, sayInEmptyRoot } from '../support/stub-lab.ts'

const SOURCE = `
use std::cell::Cell;
use std::{env, panic, thread};
thread_local! { static OWN: Cell<u32> = Cell::new(5); }
struct Guard;
impl Drop for Guard { fn drop(&mut self) { println!("dropped"); } }
fn main() {
    let sum: u32 = (0..8).map(|i| thread::spawn(move || OWN.with(|o| { o.set(o.get() + i); o.get() })).join().unwrap()).sum();
    println!("threads {sum}");
    panic::set_hook(Box::new(|info| println!("hook: {info}")));
    let caught = panic::catch_unwind(|| { let _guard = Guard; let v: Vec<u32> = Vec::new(); v[env::args().count()] });
    println!("caught {}", caught.is_err());
    println!("name {:?}", env::current_exe().unwrap().file_name());
    println!("args {:?}", env::args_os().skip(1).collect::<Vec<_>>());
    let backtrace = std::backtrace::Backtrace::force_capture().to_string();
    println!("backtrace names main: {}", backtrace.contains("main"));
    std::process::exit(17);
}`

test.each([['default'], ['relocation-model=static'], ['prefer-dynamic']])('rustc, %s', async option => {
  const directory = temporary()
  const bundle = join(directory, 'bundle')
  writeFileSync(join(directory, 'main.rs'), SOURCE)
  const flags = option === 'default' ? [] : ['-C', option]
  await output('rustc', ['-O', '-g', ...flags, 'main.rs', '-o', 'main'], {
    cwd: directory,
    env: { HOME: process.env.HOME ?? '/root' },
  })
  const sysroot = (
    await output('rustc', ['--print', 'target-libdir'], { env: { HOME: process.env.HOME ?? '/root' } })
  ).trim()
  const env = { LD_LIBRARY_PATH: sysroot }
  const program = join(directory, 'main')
  const before = await say(program, ['x', ''], env)
  expect(before).toMatchObject({ end: 17, stderr: '' })
  expect(before.stdout).toContain('backtrace names main: true')

  const listed = await output('ldd', [program], { env })
  const libraries = [...listed.matchAll(/ => (\/\S+) \(0x/g)].map(([, path]) => path!)
  const place = layOut(bundle, '/lib64/ld-linux-x86-64.so.2', libraries)
  copyFileSync(program, join(bundle, 'bin/main'))
  await output('patchelf', ['--force-rpath', '--set-rpath', '$ORIGIN/../lib', join(bundle, 'bin/main')])
  inject(join(bundle, 'bin/main'), place)
  expect(await sayInEmptyRoot(bundle, [`${ROOT}/bin/main`, 'x', ''], {})).toEqual(before)
})
