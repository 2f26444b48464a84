/**
 * `bundle verfy x`: whatever is no command is a target, so a mistyped command would be an attribute that Nix is asked for.
 * A package may be called like one, though: `bundle make` takes every word as a target.
 */
import type { Command } from 'commander'
import type { BundleError } from '../errors.ts'
import { COMMANDS } from './commands.ts'
import { LONG, nearest } from './nearest.ts'
import { load } from './output.ts'

/**
 * Refuses targets of which the first is rather a command: words follow it, and it is a slip of a long name, or is the name
 * of a command that stands behind an option.
 * @throws BundleError('usage')
 */
export function refuseMistyped(program: Command, targets: readonly string[]): void {
  const meant = meantBy(program, targets)
  if (meant === null || targets.length < 2) return
  const [word] = targets
  if (word !== meant && meant.length < LONG) return
  throw new (load().BundleError)('usage', word === meant ? `${word}: a command stands first` : `${word}: no command`, {
    hint: `${commandLine(meant, targets)}; for packages of these names: bundle make ${targets.map(quoted).join(' ')}`,
  })
}

/** The error for targets that are not there, with the command that was meant if there is one. */
export function orMistyped(error: unknown, program: Command, targets: readonly string[]): unknown {
  const { BundleError } = load()
  const meant = meantBy(program, targets)
  if (meant === null || !(error instanceof BundleError) || !isUnknown(error, targets[0]!)) return error
  const { code, reason, hint, cause } = error
  const command = `for the command: ${commandLine(meant, targets)}`
  return new BundleError(code, reason, {
    hint: hint === undefined ? command : `${command}; or ${hint}`,
    cause,
  })
}

/** Whether it says that there is nothing of this name: not that a build of it failed, nor anything of other targets. */
const isUnknown = ({ code, reason }: BundleError, word: string): boolean =>
  reason.startsWith(`${word}: `) &&
  (code === 'not-found' ||
    (code === 'nix-failed' &&
      (reason.includes(`attribute '${word}'`) || reason.includes('does not provide attribute'))))

/** The command that the first target is, or is near to; null where `make` was named, or there is none. */
function meantBy(program: Command, [word = '']: readonly string[]): string | null {
  if (program.args[0] === 'make' || !/^[a-z]+$/i.test(word)) return null
  return nearest(
    word.toLowerCase(),
    COMMANDS.filter(name => name !== 'make'),
  )
}

const commandLine = (name: string, [, ...rest]: readonly string[]): string =>
  ['bundle', name, ...rest.map(quoted)].join(' ')
/** As a shell takes it. */
const quoted = (word: string): string => (/^[\w@%+=:,./#^-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)
