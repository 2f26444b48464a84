/** The manual page, in the macros of man(7), which groff and mandoc read. */
import type { Described, DescribedArgument, DescribedCommand, DescribedOption, DescribedValue } from '../described.ts'

/**
 * The text of the page.
 * @param version of this package
 */
export function manPage({ name, text, commands }: Described, version: string): string {
  const make = commands.filter(command => command.isDefault)
  const named = commands.filter(command => !command.isDefault)
  return `${[
    `.TH ${name.toUpperCase()} 1 "" "storefree ${escaped(version)}" "storefree"`,
    // Ragged: names of options and files do not stretch.
    '.ad l',
    '.SH NAME',
    `${name}, storefree \\- ${escaped(text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, ''))}`,
    '.SH SYNOPSIS',
    commands.map(command => synopsis(name, command)).join('\n.br\n'),
    '.SH DESCRIPTION',
    line(text),
    ...make.flatMap(command => [
      `A word that is no command is a target; \\fB${name} make\\fR takes every word as one.`,
      ...command.arguments.flatMap(argumentLines),
      '.SH OPTIONS',
      ...command.options.flatMap(optionLines),
    ]),
    '.SH COMMANDS',
    ...named.flatMap(command => [
      `.SS ${escaped(`${name} ${command.name}`)}`,
      line(sentence(command.text)),
      ...command.arguments.flatMap(argumentLines),
      ...command.options.filter(option => option.long !== '--help').flatMap(optionLines),
    ]),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, line(meaning)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([variable, meaning]) => ['.TP', `.B ${variable}`, line(meaning)]),
  ].join('\n')}\n`
}

/** As in exit.ts. */
const EXITS = [
  ['0', 'Published, or clean.'],
  ['1', 'There are findings, each a line.'],
  ['2', 'It could not be done at all.'],
  ['130', 'Interrupted.'],
] as const

const ENVIRONMENT = [
  ['NIX_PATH', 'Where Nix finds nixpkgs, of which a word without a slash is an attribute.'],
  ['SOURCE_DATE_EPOCH', 'The time of images and bills of materials, in seconds since 1970.'],
  ['CI', 'Where it is set, no progress is shown. Nothing is coloured in any case.'],
] as const

const synopsis = (name: string, command: DescribedCommand): string =>
  [
    `.B ${name}${command.isDefault ? '' : ` ${command.name}`}`,
    `${command.arguments.map(shown).join(' ')}${command.options.length === 0 ? '' : ' [\\fIoptions\\fR]'}`.trim(),
  ].join('\n')

function shown({ name, required, variadic }: DescribedArgument): string {
  const word = `\\fI${escaped(name)}\\fR${variadic ? ' ...' : ''}`
  return required ? word : `[${word}]`
}

const argumentLines = (argument: DescribedArgument): string[] => [
  '.TP',
  shown(argument),
  line(sentence(argument.text === '' ? 'what it is about' : argument.text) + words(argument, argument.text)),
]

const optionLines = ({ short, long, text, value, otherwise }: DescribedOption): string[] => {
  const flags = (short === null ? [long] : [short, long]).map(flag => `\\fB${escaped(flag)}\\fR`)
  const of = value === null ? '' : ` \\fI${escaped(value.name)}\\fR`
  return [
    '.TP',
    `${flags.join(', ')}${of}`,
    line(`${sentence(text)}${words(value, text)}${otherwise === null ? '' : ` Default: ${otherwise}.`}`),
  ]
}

/** What it may be, where the text does not say so itself. */
function words(value: DescribedValue | null, text: string): string {
  if (value === null || value.words.every(word => text.includes(word))) return ''
  return ` ${value.kind === 'list' ? 'Any of these, with commas between them' : 'One of'}: ${value.words.join(', ')}.`
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`

/** A line of text that begins with no request. */
const line = (text: string): string => escaped(text).replace(/^(?=[.'])/, '\\&')
/** Lists without blanks may break behind a comma. */
const escaped = (text: string): string =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/,(?=\S)/g, ',\\:')
