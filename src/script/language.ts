/**
 * The language of a text whose store paths may become expressions: by its `#!` line, else by its name.
 */
import type { ScriptFacts } from './facts.ts'
import { interpreterName, startedBy } from './shebang.ts'

export type Language =
  | 'shell'
  | 'python'
  | 'perl'
  | 'perl-module' /* what is loaded by another text */
  | 'ruby'
  | 'lua'
  | 'tcl'
  | 'php'
  | 'js'
  | 'pth'

const INTERPRETERS: readonly (readonly [RegExp, Language])[] = [
  [/^(?:ba|da|k|mk|a)?sh$/, 'shell'],
  [/^python$/, 'python'],
  [/^perl$/, 'perl'],
  [/^ruby$/, 'ruby'],
  [/^(?:lua|luajit|texlua)$/, 'lua'],
  [/^(?:tclsh|wish|expect)$/, 'tcl'],
  [/^php$/, 'php'],
  [/^(?:node|nodejs)$/, 'js'],
]

const ENDINGS: ReadonlyMap<string, Language> = new Map([
  ['sh', 'shell'],
  ['bash', 'shell'],
  ['py', 'python'],
  ['pth', 'pth'],
  ['pl', 'perl-module'],
  ['pm', 'perl-module'],
  ['rb', 'ruby'],
  ['lua', 'lua'],
  ['tcl', 'tcl'],
  ['php', 'php'],
  ['js', 'js'],
  ['cjs', 'js'],
  ['mjs', 'js'],
])

type Other = { readonly format: 'elf' } | { readonly format: 'macho' } | { readonly format: 'data' }

/** Where completions and functions of shells lie, which have no `#!` line and often no ending. */
const SHELL_PLACE =
  /\/(?:share\/bash-completion\/completions|etc\/bash_completion\.d|share\/zsh\/(?:site-functions|vendor-completions))\/[^/]+$/

/** What stands behind a path's last full stop; empty where it has none. */
const ending = (path: string): string => path.slice(path.lastIndexOf('.') + 1 || path.length)

/** The language of a file's text; null for any other. */
export function languageOf(path: string, facts: ScriptFacts | Other): Language | null {
  if (facts.format === 'elf' || facts.format === 'macho') return null
  if (facts.format === 'data') return ENDINGS.get(ending(path)) ?? (SHELL_PLACE.test(path) ? 'shell' : null)
  // What interprets another script is that script's matter: `bash /a/script`.
  if (startedBy(facts).flags[0]?.startsWith('/')) return null
  const name = interpreterName(facts)
  return INTERPRETERS.find(([pattern]) => pattern.test(name))?.[1] ?? null
}
