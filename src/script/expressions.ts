/** A text in a language that can say where it lies: each language's way of writing its store paths. */
import type { BundlePath } from '../paths.ts'
import { refuseAll, type Site, type TextEdit } from './edit.ts'
import { editJs } from './js-edit.ts'
import type { Language } from './language.ts'
import { editLua } from './lua-edit.ts'
import { editPerl, editPerlModule } from './perl-edit.ts'
import { editPhp } from './php-edit.ts'
import { withStart } from './polyglot.ts'
import { editPth } from './pth-edit.ts'
import { editPython } from './python-edit.ts'
import { editRuby } from './ruby-edit.ts'
import { editShell, type Polyglot } from './shell-edit.ts'
import { ParsedShell } from './shell-parsed.ts'
import { editTcl } from './tcl-edit.ts'

/** What runs a script that `/bin/sh` starts, and the interpreter's name. */
export interface Start extends Polyglot {
  readonly name: string
}

type Editor = (text: string, place: BundlePath, sites: readonly Site[]) => TextEdit

const EDITORS: Readonly<Record<Exclude<Language, 'shell'>, Editor>> = {
  pth: editPth,
  python: editPython,
  perl: editPerl,
  'perl-module': editPerlModule,
  ruby: editRuby,
  lua: editLua,
  tcl: editTcl,
  php: editPhp,
  js: editJs,
}

/**
 * The edit of a text's sites.
 * @param language null where none can be put into the text: only its start may be set
 * @param place where the text will lie
 * @param start what makes `/bin/sh` able to start it
 * @param shell has parsed shell texts
 */
export function asExpressions(
  language: Language | null,
  text: string,
  place: BundlePath,
  sites: readonly Site[],
  start: Start | null,
  shell = new ParsedShell(),
): TextEdit {
  // Sites of which none leads into the bundle are blanked in every language.
  const isRead = language !== null && sites.some(({ to }) => to !== null)
  if (language === 'shell' && (isRead || start !== null)) return editShell(text, place, sites, start, shell.take(text))
  const edit =
    isRead && language !== 'shell' ? EDITORS[language](text, place, sites) : refuseAll(text, sites, 'unparsable')
  return start === null || language === 'pth' ? edit : withStart(text, place, sites, edit, start.name, start)
}
