/**
 * Launchers to run: as build.sh makes them of launcher.c, a program that executes another with any argv and environment
 * (Node passes neither duplicates nor bytes that are no UTF-8), and one that prints what it was given. A compiler or
 * emulator that is not there is a failed test.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type LaunchTemplate, nativeLauncher } from '../../src/entry/launcher.ts'
import { PREBUILT } from '../../src/entry/prebuilt.ts'

/** For each CPU the emulator of its programs. */
const EMULATORS = { x86_64: '', aarch64: 'aarch64', riscv64: 'riscv64', i686: 'i386', arm: 'arm' } as const
export type Arch = keyof typeof EMULATORS

/** What a program was given, as byte strings; the environment in order. */
export interface Given {
  readonly argv: readonly string[]
  readonly environment: readonly string[]
  readonly directory: string
}

export interface Call {
  readonly argv?: readonly string[]
  readonly environment?: readonly string[]
  /** The directory to start in. */
  readonly directory?: string
}

export interface Outcome {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  /** A byte string. */
  readonly stderr: string
}

export const compiled = (arch: Arch): Buffer => Buffer.from(PREBUILT[arch].launcher, 'base64')

/** A directory with the programs above, to be removed after the tests. Paths are byte strings. */
export class Laboratory {
  readonly path: string
  /** Prints what it was given; static, so that no environment bothers it. */
  readonly printer: string
  readonly #caller: string
  #count = 0

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'storefree-launcher-'))
    chmodSync(this.path, 0o755)
    this.printer = this.compile('printer', PRINTER)
    this.#caller = this.compile('caller', CALLER)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }

  compile(name: string, source: string, flags: readonly string[] = ['-static']): string {
    const program = join(this.path, name)
    execFileSync('gcc', ['-O1', '-xc', '-', '-o', program, ...flags], { input: source })
    return program
  }

  /** A new root with the printer in it at `printer`. */
  root(name = `root-${this.#count++}`): string {
    const root = `${this.path}/${name}`
    this.put(`${root}/printer`, readFileSync(this.printer))
    return root
  }

  put(path: string, bytes: Buffer, mode = 0o755): string {
    mkdirSync(bytesOf(dirname(path)), { recursive: true })
    writeFileSync(bytesOf(path), bytes)
    chmodSync(bytesOf(path), mode)
    return path
  }

  /** The launcher of a template at its place below a root; its path. */
  launcher(root: string, template: LaunchTemplate, arch: Arch = 'x86_64'): string {
    return this.put(`${root}/${template.at}`, nativeLauncher(template, compiled(arch)))
  }

  /** Executes a file by path, without PATH, through the emulator for another CPU. */
  run(path: string, { argv = [path], environment = [], directory = '/' }: Call = {}, arch: Arch = 'x86_64'): Outcome {
    // The emulator takes argv[0] as an option.
    const emulator = `/usr/bin/qemu-${EMULATORS[arch]}-static`
    const [file, all] =
      arch === 'x86_64' ? [path, argv] : [emulator, [emulator, '-0', argv[0]!, path, ...argv.slice(1)]]
    const { status, signal, stdout, stderr, error } = spawnSync(this.#caller, [], {
      cwd: directory,
      input: bytesOf([file, directory, String(all.length), ...all, ...environment].map(s => `${s}\0`).join('')),
      maxBuffer: 1 << 26,
    })
    if (error) throw error
    return { status, signal, stdout, stderr: stderr.toString('latin1') }
  }

  /** The same for a file that leads to the printer: what that was given. */
  given(path: string, call: Call = {}, arch: Arch = 'x86_64'): Given {
    const { status, stdout, stderr } = this.run(path, call, arch)
    if (status !== 0) throw new Error(`exit ${status}: ${stderr}`)
    return given(stdout)
  }
}

/** What the printer printed. */
export function given(output: Buffer): Given {
  const [directory, count, ...strings] = output.toString('latin1').split('\0').slice(0, -1)
  return {
    directory: directory!,
    argv: strings.slice(0, Number(count)),
    environment: strings.slice(Number(count)),
  }
}

export const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1')

const PRINTER = `
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
static void put(const char *s) { fwrite(s, 1, strlen(s) + 1, stdout); }
int main(int argc, char **argv) {
  char text[4096];
  put(getcwd(text, sizeof text) ? text : "?");
  sprintf(text, "%d", argc);
  put(text);
  for (int i = 0; i < argc; i++) put(argv[i]);
  for (char **e = environ; *e; e++) put(*e);
  return fflush(stdout) ? 1 : 0;
}
`

// Standard input: file, directory, count, arguments, environment; each ended by NUL.
const CALLER = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  size_t size = 0, room = 1 << 24;
  char *text = malloc(room);
  for (ssize_t n; (n = read(0, text + size, room - size)) > 0; size += n);
  char **strings = calloc(size + 2, sizeof *strings);
  size_t count = 0;
  for (char *s = text; s < text + size; s += strlen(s) + 1) strings[count++] = s;
  size_t argc = atoi(strings[2]);
  char **argv = calloc(argc + 1, sizeof *argv);
  memcpy(argv, strings + 3, argc * sizeof *argv);
  if (chdir(strings[1])) return 99;
  execve(strings[0], argv, strings + 3 + argc);
  perror("caller");
  return 99;
}
`
