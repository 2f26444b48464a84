/**
 * The native launcher's configuration: what launcher.c (whose head says how it works) does in a program's place.
 *
 * The image. The compiled launcher is one segment, mapped from the file's first byte on. The configuration is put behind
 * it, into the same segment, and the segment's size is raised; the last four bytes of the segment say how long the
 * configuration is. Two sections, `.launcher` and `.configuration`, cover the segment: bytes that only lie at the end of
 * a file are lost to `strip`, and so are those of a segment that no section accounts for.
 */
import { ET, PT } from '../elf/constants.ts'
import { PHDR, PROGRAM_TABLE } from '../elf/program-headers.ts'
import { SECTION_TABLE, SHF, SHT, sectionHeader } from '../elf/sections.ts'
import { readHalf, readInt, readWord, roundUp, writeHalf, writeWord } from '../elf/words.ts'
import { type BundlePath, baseName } from '../paths.ts'

/**
 * A piece of a string that the launcher puts together when it starts: a byte string without NUL, or what is known only
 * then. `root`: the bundle's root, an absolute path without a slash at its end, so it is empty when that is `/`; `plain`
 * is one that command lines, lists and formats can hold (alias.h), where there is such a way to it. `argv0`:
 * the caller's argv[0]. `started`: the path that was given to execve(2), which is what a `#!` script sees as `$0`.
 * `called`: the last component of that path if it is one of these names, else the first of them.
 */
export type Part =
  | string
  | { readonly root: true | 'plain' }
  | { readonly argv0: true }
  | { readonly started: true }
  | { readonly called: readonly string[] }

/** A string in parts. */
export type Template = readonly Part[]

/**
 * When an element of a list gets a separator and what becomes of one that is there already; each is what a generation
 * of nixpkgs' wrappers does, to the byte (put_into_list in launcher.c):
 * - `nonempty`: makeWrapper at first: joined when the variable is not empty
 * - `set`: makeBinaryWrapper at first: joined when the variable is set
 * - `unique`: makeWrapper today: moved to the front, or left where it is when it was to come last
 * - `set-unique`: makeBinaryWrapper today: moved to the front or the end
 */
export type ListRule = 'nonempty' | 'set' | 'unique' | 'set-unique'

/**
 * A change to the environment, where `Value` is a byte string or a template. A name means the first variable of that
 * name: it is changed in place, or one is added at the end. `unset` removes every one of the name.
 */
export type EnvironmentOperation<Value = string> =
  | { readonly op: 'set'; readonly name: string; readonly value: Value }
  | { readonly op: 'set-default'; readonly name: string; readonly value: Value }
  | { readonly op: 'unset'; readonly name: string }
  | {
      readonly op: 'prefix' | 'suffix'
      readonly name: string
      readonly separator: string
      readonly value: Value
      readonly rule: ListRule
    }

/**
 * A variable that is the path that was given to execve(2) becomes another: shells hand that on as `_`, by which programs
 * ask how they were started. A shell launcher leaves it out: there `_` is the shell's.
 */
export interface StartedOperation {
  readonly op: 'set-started'
  readonly name: string
  readonly value: Template
}

/** What a wrapper (script/shell-wrapper.ts) does before it executes its program. */
export interface Wrapper {
  /** The absolute path of what it executes. */
  readonly program: string
  /**
   * `keep`: the caller's argv[0]. `started`: the path the wrapper was started by, which is what `$0` is in a script.
   */
  readonly argv0: 'keep' | 'started' | { readonly value: string }
  /** In order. */
  readonly environment: readonly EnvironmentOperation[]
  /** Arguments before and after the caller's. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** Where it goes first; null when it stays. */
  readonly directory: string | null
}

/** What a launcher does. */
export interface LaunchTemplate {
  /** Where the launcher itself lies; only the number of its components counts. */
  readonly at: BundlePath
  /** The file that execve(2) gets. */
  readonly program: Template
  readonly argv0: Template
  /** Arguments before and after the caller's, which are passed on from argv[1]. */
  readonly before: readonly Template[]
  readonly after: readonly Template[]
  /** Carried out in order. */
  readonly environment: readonly (EnvironmentOperation<Template> | StartedOperation)[]
  /** Where to go before the program starts; null to stay. `PWD` is left as it is. */
  readonly directory: Template | null
}

/** A path below the bundle's root. */
export const inRoot = (path: BundlePath): Template => [{ root: true }, `/${path}`]

/** A file below the bundle's root that goes by several names: by the one that the launcher is called by. */
export const calledInRoot = (path: BundlePath, otherNames: readonly string[]): Template =>
  otherNames.length === 0
    ? inRoot(path)
    : [{ root: true }, `/${path.slice(0, path.lastIndexOf('/') + 1)}`, { called: [baseName(path), ...otherNames] }]

/** The same, where what it is for may be put into a command line or a list. */
export const plain = (template: Template): Template =>
  template.map(part => (typeof part === 'object' && 'root' in part ? { root: 'plain' } : part))

/** The caller's argv[0]. */
export const CALLERS_ARGV0: Template = [{ argv0: true }]

/** A launcher that only starts a program of the bundle. */
export const launch = (at: BundlePath, program: BundlePath): LaunchTemplate => ({
  at,
  program: inRoot(program),
  argv0: CALLERS_ARGV0,
  before: [],
  after: [],
  environment: [],
  directory: null,
})

/**
 * The same for a script: its interpreter runs it, as the kernel does for a `#!` line (execve(2), "Interpreter scripts"):
 * argv[0] becomes the interpreter's path, and the script's name is its path in the bundle.
 * @param flags the arguments of the `#!` line
 */
export const throughInterpreter = (
  script: LaunchTemplate,
  interpreter: Template,
  flags: readonly Template[],
): LaunchTemplate => ({
  ...script,
  program: interpreter,
  argv0: interpreter,
  before: [...flags, script.program, ...script.before],
  environment: [...script.environment, startedAs(script.program)],
})

/** For a script that is not the file that was executed: `[ "$_" = "$0" ]`. */
export const startedAs = (script: Template): StartedOperation => ({ op: 'set-started', name: '_', value: script })

/**
 * The same for a program that has to be run by a dynamic loader.
 * @param knowsArgv0 whether the loader has `--argv0`; without it the program's argv[0] is its path
 */
export const throughLoader = (program: LaunchTemplate, loader: Template, knowsArgv0: boolean): LaunchTemplate => ({
  ...program,
  program: loader,
  argv0: loader,
  before: [...(knowsArgv0 ? [['--argv0'], program.argv0] : []), program.program, ...program.before],
})

/**
 * The same for a wrapper of the program (script/shell-wrapper.ts). What the wrapper does comes first, as it did: the program
 * is started with the wrapper's argv[0] and flags in the caller's place.
 * @param filled turns a byte string of the wrapper into a template: the store paths in it become paths in the bundle
 * @param flag the same for an argument
 */
export function wrapping(
  program: LaunchTemplate,
  wrapper: Wrapper,
  filled: (text: string) => Template,
  flag: (text: string) => Template = filled,
): LaunchTemplate {
  const { argv0 } = wrapper
  const name = argv0 === 'keep' ? CALLERS_ARGV0 : argv0 === 'started' ? [STARTED] : filled(argv0.value)
  const started = filled(wrapper.program)
  const inside = (template: Template): Template =>
    template.flatMap((part): Template => {
      if (typeof part === 'string' || 'root' in part) return [part]
      if ('called' in part) return [calledBy(wrapper.program, part.called)]
      return 'argv0' in part ? name : started
    })
  return {
    ...program,
    argv0: inside(program.argv0),
    before: [...program.before.map(inside), ...wrapper.before.map(text => plain(flag(text)))],
    after: [...wrapper.after.map(text => plain(flag(text))), ...program.after.map(inside)],
    environment: [
      ...wrapper.environment.map(change =>
        change.op === 'unset' ? change : { ...change, value: plain(filled(change.value)) },
      ),
      ...program.environment,
    ],
    directory: program.directory ?? (wrapper.directory === null ? null : filled(wrapper.directory)),
  }
}

const calledBy = (path: string, names: readonly string[]): string =>
  names.includes(baseName(path)) ? baseName(path) : names[0]!

const STARTED: Part = { started: true }

/**
 * A launcher: an ELF program.
 * @param compiled launcher.c compiled for the CPU it is for (cpus.ts)
 * @throws Error when `compiled` is not what launcher.c gives, when a string holds NUL, a name is empty or has `=`, or
 *   the launcher lies more than 255 directories deep
 */
export function nativeLauncher(template: LaunchTemplate, compiled: Buffer): Buffer {
  const { image, shape } = segmentOf(compiled)
  const configuration = encode(template)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(configuration.length)
  const segment = Buffer.concat([image, configuration, length])
  const [table, fields] = [SECTION_TABLE[shape.class], PHDR[shape.class]]
  writeWord(segment, table.header + fields.filesz, segment.length, shape)
  writeWord(segment, table.header + fields.memsz, segment.length, shape)

  const address = readWord(segment, table.header + fields.vaddr, shape)
  const headers = table.header + readHalf(segment, PROGRAM_TABLE[shape.class].count, shape) * fields.size
  const names = ['', '.launcher', '.configuration', '.shstrtab']
  const strings = Buffer.from(`${names.join('\0')}\0`, 'latin1')
  const section = (name: string, type: number, flags: number, start: number, end: number, align = 1): Buffer => {
    const loaded = flags & SHF.alloc ? address + start : 0
    const place = { address: loaded, offset: start, size: end - start }
    return sectionHeader(
      { name, type, flags, ...place, link: 0, info: 0, align, entsize: 0 },
      strings.indexOf(`${name}\0`),
      shape,
    )
  }
  const sections = [
    section('', SHT.null, 0, 0, 0, 0),
    section('.launcher', SHT.progbits, SHF.alloc | SHF.exec, headers, image.length),
    section('.configuration', SHT.progbits, SHF.alloc, image.length, segment.length),
    section('.shstrtab', SHT.strtab, 0, segment.length, segment.length + strings.length),
  ]
  const end = segment.length + strings.length
  const padding = Buffer.alloc(roundUp(end, 8) - end)
  writeWord(segment, table.offset, end + padding.length, shape)
  writeHalf(segment, table.entry, table.size, shape)
  writeHalf(segment, table.count, sections.length, shape)
  writeHalf(segment, table.names, sections.length - 1, shape)
  return Buffer.concat([segment, strings, padding, ...sections])
}

type Shape = { readonly class: 32 | 64; readonly little: true }

/** The bytes of the compiled launcher's one segment, a copy. */
function segmentOf(elf: Buffer): { image: Buffer; shape: Shape } {
  const shape: Shape = { class: elf[4] === 1 ? 32 : 64, little: true }
  const [row, fields] = [SECTION_TABLE[shape.class].header, PHDR[shape.class]]
  const table = PROGRAM_TABLE[shape.class]
  const fits =
    elf.length >= row + fields.size &&
    elf.readUInt32BE(0) === 0x7f454c46 &&
    elf[5] === 1 && // little-endian
    readHalf(elf, 16, shape) === ET.exec &&
    readWord(elf, table.offset, shape) === row
  if (!fits) throw new Error('not a compiled launcher')
  const loads = Array.from({ length: readHalf(elf, table.count, shape) }, (_, i) => row + i * fields.size).filter(
    at => readInt(elf, at, shape) === PT.load,
  )
  const size = readWord(elf, row + fields.filesz, shape)
  if (
    loads.length !== 1 ||
    loads[0] !== row ||
    readWord(elf, row + fields.offset, shape) !== 0 ||
    readWord(elf, row + fields.memsz, shape) !== size || // no bss
    size > elf.length
  )
    throw new Error('a compiled launcher has one segment, from the first byte on')
  return { image: Buffer.from(elf.subarray(0, size)), shape }
}

// ---- The configuration (its form is told at the head of launcher.c) ----------------------------------------------

function encode(template: LaunchTemplate): Buffer {
  const depth = template.at.split('/').length
  if (depth > 255) throw new Error(`${template.at} lies too deep for a launcher`)
  const argument = (value: Template): string => operation('a', '', '', value)
  const text = [
    String.fromCharCode(depth),
    ...template.environment.map(environmentOperation),
    ...(template.directory === null ? [] : [operation('c', '', '', template.directory)]),
    operation('x', '', '', template.program),
    argument(template.argv0),
    ...template.before.map(argument),
    operation('@', '', '', []),
    ...template.after.map(argument),
    '\0',
  ]
  return Buffer.from(text.join(''), 'latin1')
}

const RULES: readonly ListRule[] = ['nonempty', 'set', 'unique', 'set-unique']

function environmentOperation(change: EnvironmentOperation<Template> | StartedOperation): string {
  if (change.name === '' || change.name.includes('=')) throw new Error(`not a variable's name: '${change.name}'`)
  switch (change.op) {
    case 'set':
      return operation('s', change.name, '', change.value)
    case 'set-default':
      return operation('d', change.name, '', change.value)
    case 'set-started':
      return operation('e', change.name, '', change.value)
    case 'unset':
      return operation('u', change.name, '', [])
    default: {
      const code = 0x41 + 2 * RULES.indexOf(change.rule) + (change.op === 'suffix' ? 1 : 0)
      return operation(String.fromCharCode(code), change.name, change.separator, change.value)
    }
  }
}

function operation(code: string, name: string, separator: string, value: Template): string {
  return `${code}${text(name)}${text(separator)}${value.map(part).join('')}\0`
}

function part(value: Part): string {
  if (typeof value === 'string') return `=${text(value)}`
  if ('called' in value) return `n${value.called.map(text).join('')}\0`
  if ('root' in value) return value.root === 'plain' ? 'R' : 'r'
  return 'argv0' in value ? '0' : 'f'
}

function text(value: string): string {
  if (/[^\x01-\xff]/.test(value)) throw new Error('a string of a launcher is a byte string without NUL')
  return `${value}\0`
}
