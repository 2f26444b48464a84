/** Libraries and programs without any code, linked as a test says, for the loader to choose from. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseElf } from '../../src/elf/parse.ts'
import { bufferSource } from '../../src/io/bytes.ts'
import { eachOf, output } from './elf-tools.ts'

interface Linked {
  readonly soname?: string
  readonly needed?: readonly string[]
  readonly rpath?: string
  readonly runpath?: string
  readonly filter?: string
  readonly auxiliary?: string
  /** -z nodefaultlib */
  readonly nodefaultlib?: boolean
  /** Of 32 bits: of another class than the program. */
  readonly narrow?: boolean
  /** Of 64 bits, for another machine than the program. */
  readonly foreign?: boolean
}

const JOBS = 9

export class Lab {
  readonly root: string
  readonly #stubs = new Map<string, string>()
  readonly #commands: string[] = []
  readonly #after: (() => void)[] = []
  #scripts = 0

  constructor(root: string) {
    this.root = root
    mkdirSync(join(root, 'stub'))
    mkdirSync(join(root, 'cwd'))
  }

  /** An empty directory. */
  get cwd(): string {
    return join(this.root, 'cwd')
  }

  at(path: string): string {
    return join(this.root, path)
  }

  library(path: string, linked: Linked = {}): void {
    this.#link(path, ['-shared', linked.narrow ? 'empty32.o' : 'empty.o'], linked)
  }

  program(path: string, linked: Linked = {}): string {
    this.#link(path, ['-pie', '--dynamic-linker', '/lib64/ld-linux-x86-64.so.2', 'start.o'], linked)
    return this.at(path)
  }

  symlink(path: string, to: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true })
    symlinkSync(to, this.at(path))
  }

  async build(): Promise<void> {
    writeFileSync(this.at('start.s'), '.globl _start\n_start: hlt\n')
    const stubs = [...this.#stubs].map(([soname, file]) =>
      command(['ld', '-shared', 'empty.o', '-o', file, '-soname', soname]),
    )
    await this.#shell(['as start.s -o start.o', 'as /dev/null -o empty.o', 'as --32 /dev/null -o empty32.o', ...stubs])
    const size = Math.ceil(this.#commands.length / JOBS)
    await eachOf(
      Array.from({ length: JOBS }, (_, i) => this.#commands.slice(i * size, (i + 1) * size)),
      commands => this.#shell(commands),
    )
    for (const then of this.#after) then()
  }

  async #shell(commands: readonly string[]): Promise<void> {
    // A script, for one argument holds 128 KiB at most.
    const script = `script-${this.#scripts++}.sh`
    writeFileSync(this.at(script), ['set -e', ...commands].join('\n'))
    await output('sh', [script], { cwd: this.root })
  }

  #link(path: string, first: readonly string[], linked: Linked): void {
    const { soname, needed = [], rpath, runpath, filter, auxiliary, nodefaultlib, narrow, foreign } = linked
    mkdirSync(dirname(this.at(path)), { recursive: true })
    // A linker makes one kind of the two: the other is put beside it, as the tail of the same string.
    const both = rpath !== undefined && runpath !== undefined
    this.#commands.push(
      command([
        'ld',
        ...(narrow ? ['-m', 'elf_i386'] : []),
        ...first,
        '-o',
        path,
        '--no-as-needed',
        '--allow-shlib-undefined',
        ...(soname === undefined ? [] : ['-soname', soname]),
        ...(filter === undefined ? [] : ['--filter', filter]),
        ...(auxiliary === undefined ? [] : ['--auxiliary', auxiliary]),
        ...(narrow ? [] : needed.map(name => this.#stub(name))),
        ...(both ? ['--enable-new-dtags', '-rpath', `${runpath}:${rpath}`] : []),
        ...(both || rpath === undefined ? [] : ['--disable-new-dtags', '-rpath', rpath]),
        ...(both || runpath === undefined ? [] : ['--enable-new-dtags', '-rpath', runpath]),
        ...(nodefaultlib ? ['-z', 'nodefaultlib'] : []),
      ]),
    )
    if (both) this.#after.push(() => addRpath(this.at(path), rpath))
    if (foreign) this.#after.push(() => setMachine(this.at(path)))
  }

  /** A library for the linker alone: what is linked with it needs its soname, whatever that is. */
  #stub(soname: string): string {
    const file = this.#stubs.get(soname) ?? `stub/${this.#stubs.size}.so`
    this.#stubs.set(soname, file)
    return file
  }
}

const command = (words: readonly string[]): string => words.map(word => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')

/** Adds a DT_RPATH whose string is the tail of DT_RUNPATH's, in place of a spare DT_NULL. */
function addRpath(file: string, rpath: string): void {
  const bytes = readFileSync(file)
  const { dynamic, runpath, dynstr } = parseElf(bufferSource(bytes), file)
  const at = dynamic.at(-1)!.offset + 16
  bytes.writeBigUInt64LE(15n, at)
  bytes.writeBigUInt64LE(BigInt(runpath!.offset + runpath!.value.length - rpath.length - dynstr!.offset), at + 8)
  writeFileSync(file, bytes)
}

/** Makes it a file for AArch64. */
function setMachine(file: string): void {
  const bytes = readFileSync(file)
  bytes.writeUInt16LE(183, 18)
  writeFileSync(file, bytes)
}
