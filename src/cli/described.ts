/**
 * The command line as data, read from the definitions that parse it: what completions and the man page are made from, so that
 * neither is a second list.
 */
import type { Argument, Command, Option } from 'commander'
import { helpNames } from './topics.ts'

/** What stands for a value: words to choose from, a list of such words with commas between them, a file, a directory. */
export interface DescribedValue {
  /** As help has it: `path`. */
  readonly name: string
  readonly kind: 'word' | 'list' | 'file' | 'directory' | 'other'
  /** Of `word` and `list`; empty otherwise. */
  readonly words: readonly string[]
}

export interface DescribedOption {
  /** `-o`; null if it has no letter. */
  readonly short: string | null
  /** `--output`. */
  readonly long: string
  readonly text: string
  /** Null for one that takes no value. */
  readonly value: DescribedValue | null
  /** What it is where it does not stand; null where the text has to say it. */
  readonly otherwise: string | null
  /** Whether it may stand several times. */
  readonly repeatable: boolean
}

export interface DescribedArgument extends DescribedValue {
  readonly text: string
  readonly required: boolean
  readonly variadic: boolean
}

export interface DescribedCommand {
  readonly name: string
  readonly text: string
  /** Of the one that needs no name also those that stand before any command. */
  readonly options: readonly DescribedOption[]
  readonly arguments: readonly DescribedArgument[]
  /** Whether it is the one that needs no name. */
  readonly isDefault: boolean
}

export interface Described {
  readonly name: string
  readonly text: string
  /** Those that stand before any command: `--version`, `--help`. */
  readonly options: readonly DescribedOption[]
  readonly commands: readonly DescribedCommand[]
}

/** A parser of lists with the words that it takes. */
export type ListParser<T> = T & { readonly words: readonly string[] }

/** The command line as data. */
export function describedOf(program: Command): Described {
  const help = program.createHelp()
  const own = (command: Command): DescribedOption[] => help.visibleOptions(command).map(optionOf)
  const global = own(program)
  const optionsOf = (command: Command): DescribedOption[] => {
    const options = own(command)
    if (command.name() !== DEFAULT) return options
    return [...options, ...global.filter(({ long }) => !options.some(option => option.long === long))]
  }
  const names = helpNames(program)
  return {
    name: program.name(),
    text: program.description(),
    options: global,
    commands: help.visibleCommands(program).map(command => ({
      name: command.name(),
      text: command.description(),
      options: command.name() === 'help' ? [] : optionsOf(command),
      arguments: command.registeredArguments.map(argument =>
        command.name() === 'help' ? { ...argumentOf(argument), kind: 'word', words: names } : argumentOf(argument),
      ),
      isDefault: command.name() === DEFAULT,
    })),
  }
}

/** The command that needs no name (make.ts). */
const DEFAULT = 'make'

const optionOf = (option: Option): DescribedOption => ({
  short: option.short ?? null,
  long: option.long!,
  text: option.description,
  value:
    option.required || option.optional
      ? describedValue(nameIn(option.flags), option.argChoices, option.parseArg)
      : null,
  otherwise: ['string', 'number'].includes(typeof option.defaultValue) ? String(option.defaultValue) : null,
  repeatable: typeof option.parseArg === 'function' && 'repeatable' in option.parseArg,
})

const argumentOf = (argument: Argument): DescribedArgument => ({
  ...describedValue(argument.name(), argument.argChoices, undefined),
  text: argument.description,
  required: argument.required,
  variadic: argument.variadic,
})

function describedValue(name: string, choices: readonly string[] | undefined, parser: unknown): DescribedValue {
  if (choices !== undefined) return { name, kind: 'word', words: choices }
  if (isListParser(parser)) return { name, kind: 'list', words: parser.words }
  const kind = FILES.has(name) ? 'file' : name === 'directory' ? 'directory' : 'other'
  return { name, kind, words: [] }
}

/** Names of values that are files. */
const FILES: ReadonlySet<string> = new Set(['file', 'path', 'bundle', 'target', 'command'])

const isListParser = (parser: unknown): parser is ListParser<unknown> =>
  typeof parser === 'function' && 'words' in parser

/** `path` of `-o, --output <path>`. */
const nameIn = (flags: string): string => /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1] ?? 'value'
