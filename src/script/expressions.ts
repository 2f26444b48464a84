/** A text in a language that can say where it lies: each language's way of writing its store paths. */
import type { BundlePath } from '../paths.ts'
import { isToBeRead, refuseAll, type Site, type TextEdit } from './edit.ts'
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
  if (language === 'shell') return editShell(text, place, sites, start, text => shell.take(text))
  const started = language === 'pth' ? null : start
  const isRead = language !== null && isToBeRead(text, sites, started !== null)
  const edit = isRead ? EDITORS[language](text, place, sites) : refuseAll(text, sites, 'unparsable')
  return started === null ? edit : withStart(text, place, sites, edit, started.name, started)
}
