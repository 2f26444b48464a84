/**
 * Store paths in a `.pth` file of Python's: a line that names a directory puts it on the search path, and is read from the
 * file's own directory on (site.addpackage). So it becomes relative.
 */
import type { BundlePath } from '../paths.ts'
import { blankedSite, type Site, type TextEdit, textEdit } from './edit.ts'

/** Whether every store path of a text begins a line: one that begins with `import` is code. */
export const isPathsOnly = (text: string): boolean => /\/nix\/store\//.test(text) && !/[^\n]\/nix\/store\//.test(text)

/** @param place where the text will lie */
export function editPth(text: string, place: BundlePath, sites: readonly Site[]): TextEdit {
  const up = '../'.repeat(place.split('/').length - 1)
  return textEdit(text, sites, site => {
    const { offset, length, to } = site
    if (to === null) return blankedSite(text, site)
    return { splice: { offset, length, text: up + to }, outcome: 'templated' }
  })
}
