/** Expressions for the bundle's root in scripts and modules, whatever their language. Pure. */
import type { BundlePath } from '../paths.ts'
import { refuseAll, type Site, type TextEdit } from '../script/edit.ts'
import type { Language } from '../script/language.ts'
import { editPerl } from '../script/perl-edit.ts'
import { withStart } from '../script/polyglot.ts'
import { editPth } from '../script/pth-edit.ts'
import { editPython } from '../script/python-edit.ts'
import { editShell, type Polyglot } from '../script/shell-edit.ts'

/** What runs a script that `/bin/sh` starts, and the interpreter's name. */
export interface Start extends Polyglot {
  readonly name: string
}

/**
 * The edit of a text that puts an expression at each site.
 * @param language null where none can be put into the text: only its start may be set
 * @param start what makes `/bin/sh` able to start it
 */
export function expressions(
  language: Language | null,
  text: string,
  at: BundlePath,
  sites: readonly Site[],
  start: Start | null,
): TextEdit {
  if (language === 'shell') return editShell(text, at, sites, start)
  if (language === 'pth') return editPth(text, at, sites)
  const edit =
    language === 'python'
      ? editPython(text, at, sites)
      : language === 'perl'
        ? editPerl(text, at, sites)
        : refuseAll(text, sites, 'unparsable')
  return start === null ? edit : withStart(text, at, sites, edit, start.name, start)
}
