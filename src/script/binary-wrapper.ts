/**
 * Programs of makeBinaryWrapper: the command that they were made by stands in them as text (shell-wrapper.ts says what
 * wrappers are, and what is not repeated of them). All text is byte strings.
 */
import { isElf } from '../elf/image.ts'
import type { EnvironmentOperation, ListRule, Wrapper } from '../entry/launcher.ts'
import { isMachO } from '../macho/image.ts'
import { Other, other, Reader, unlessOther } from './words.ts'

/**
 * The command that a program of makeBinaryWrapper was made by: `makeCWrapper '/nix/store/...' \` and so on; null in a
 * file that has none.
 */
export function findBinaryWrapper(bytes: Buffer): string | null {
  const head = 'has been generated using the following command:\n\n\n'
  const at = bytes.indexOf(`${head}makeCWrapper `, 0, 'latin1')
  if (at < 0) return null
  const end = bytes.indexOf(0, at)
  if (end < 0) return null
  const text = bytes.toString('latin1', at + head.length, end)
  const behind = text.indexOf('\n\n\n# (Use ')
  return behind < 0 ? text : text.slice(0, behind)
}

/**
 * The wrapper that a makeCWrapper command makes; null for one with options that are not known.
 * @param rule what the program does with lists, which the text does not say (`readBinaryWrapper` does)
 */
export function parseBinaryWrapper(text: string, rule: 'set' | 'set-unique' = 'set'): Wrapper | null {
  return unlessOther(() => binaryWrapper(new Reader(text), rule))
}

/**
 * The wrapper a program of makeBinaryWrapper is; null for any other file. What its text leaves out shows in the
 * functions it imports: the lists of today's search for the element (strstr); one that searches PATH for argv[0]
 * (`--resolve-argv0`: strtok) does what no launcher does; and one without imports does not say what it does.
 */
export function readBinaryWrapper(bytes: Buffer): Wrapper | null {
  if (!isElf(bytes) && !isMachO(bytes)) return null
  const text = findBinaryWrapper(bytes)
  // Mach-O puts an underscore before the names of C.
  const imports = (name: string): boolean =>
    bytes.includes(`\0${name}\0`, 0, 'latin1') || bytes.includes(`_${name}\0`, 0, 'latin1')
  if (text === null || !imports('execv') || imports('strtok')) return null
  return parseBinaryWrapper(text, imports('strstr') ? 'set-unique' : 'set')
}

function binaryWrapper(reader: Reader, rule: ListRule): Wrapper {
  const environment: EnvironmentOperation[] = []
  const before: string[] = []
  const after: string[] = []
  let directory: string | null = null
  let inherited = false
  let argv0 = ''

  reader.expect('makeCWrapper ')
  // At first the program's path stood there as it is.
  const bare = reader.match(/\/[^'\\\n]*?(?= \\\n|\n|$)/y)
  const program = bare ?? reader.quoted()
  if (!program.startsWith('/')) throw new Other()

  const value = (): string => {
    reader.expect(' ')
    return reader.quoted()
  }
  const name = (): string => {
    const text = value()
    return text === '' || text.includes('=') ? other() : text
  }
  while (reader.skips(' \\\n    ')) {
    const option = reader.take(/--[a-z0-9-]+/y)
    if (option === '--set') environment.push({ op: 'set', name: name(), value: value() })
    else if (option === '--set-default') environment.push({ op: 'set-default', name: name(), value: value() })
    else if (option === '--unset') environment.push({ op: 'unset', name: name() })
    else if (option === '--prefix' || option === '--suffix')
      environment.push({
        op: option === '--prefix' ? 'prefix' : 'suffix',
        name: name(),
        separator: value(),
        value: value(),
        rule,
      })
    else if (option === '--chdir') directory = fromDirectory(directory, value())
    else if (option === '--add-flag') before.push(value())
    else if (option === '--append-flag') after.push(value())
    else if (option === '--add-flags') before.push(...words(value()))
    else if (option === '--append-flags') after.push(...words(value()))
    else if (option === '--inherit-argv0') inherited = true
    else if (option === '--argv0') {
      argv0 = value()
      inherited = false
    } else throw new Other()
  }
  reader.match(/\n*/y)
  if (!reader.ended) throw new Other()
  return {
    program,
    argv0: inherited ? 'keep' : { value: argv0 === '' ? program : argv0 },
    environment,
    before,
    after,
    directory,
  }
}

/** Two --chdir: the second from where the first led. */
const fromDirectory = (first: string | null, second: string): string =>
  first === null || second.startsWith('/') ? second : `${first}/${second}`

/** Split at blanks, without quoting. Of several lines one version of nixpkgs takes all, the other the first. */
function words(flags: string): string[] {
  if (flags.includes('\n')) throw new Other()
  return flags.split(/[ \t]+/).filter(flag => flag !== '')
}
