/** What stands below the picture: packages as a table, what loaders do as a tree, what stayed out. */
import { LOADING } from '../model/explained.ts'
import type { Bundle } from './bundle.ts'
import { byId, bytesText, counted, el, fileLink, name, packageLink } from './dom.ts'

/** Nodes of one level of the tree that are shown. */
const CHILDREN_SHOWN = 300

// ---- Packages ----------------------------------------------------------------------------------------------------

const COLUMNS = [
  { title: 'Package', of: 'label' },
  { title: 'Files', of: 'files' },
  { title: 'Bundle', of: 'bytes' },
  { title: 'Alone', of: 'alone' },
  { title: 'In Nix', of: 'nar' },
  { title: 'Why', of: 'why' },
] as const

export function showPackages({ data }: Bundle): void {
  const rows = data.packages.map((p, id) => ({ ...p, id })).filter(({ files }) => files > 0)
  const body = el('tbody')
  const heads = COLUMNS.map(({ title, of }) =>
    el('th', { scope: 'col' }, el('button', { type: 'button', onclick: () => sort(of) }, title)),
  )
  let sorted: (typeof COLUMNS)[number]['of'] | null = null
  let falls = true
  const sort = (of: (typeof COLUMNS)[number]['of']): void => {
    falls = sorted === of ? !falls : of !== 'label' && of !== 'why'
    sorted = of
    const sign = falls ? -1 : 1
    rows.sort((a, b) => {
      const [x, y] = [a[of] ?? -1, b[of] ?? -1]
      return x < y ? -sign : x > y ? sign : 0
    })
    for (const [i, head] of heads.entries()) {
      if (COLUMNS[i]!.of === of) head.setAttribute('aria-sort', falls ? 'descending' : 'ascending')
      else head.removeAttribute('aria-sort')
    }
    body.replaceChildren(
      ...rows.map(row =>
        el(
          'tr',
          {},
          el('th', { scope: 'row' }, packageLink(row.id, row.label)),
          el('td', {}, row.files.toLocaleString('en')),
          el('td', {}, bytesText(row.bytes)),
          el('td', {}, row.alone === null ? '' : bytesText(row.alone)),
          el('td', {}, row.nar === null ? '' : bytesText(row.nar)),
          el('td', {}, name(row.why)),
        ),
      ),
    )
  }
  sort('bytes')
  byId('packages').replaceChildren(
    el(
      'table',
      {},
      el(
        'caption',
        {},
        'Alone: what the bundle is smaller by without the package. In Nix: all of its store path. Units of 10⁶ bytes.',
      ),
      el('thead', {}, el('tr', {}, ...heads)),
      body,
    ),
  )
}

// ---- Libraries ---------------------------------------------------------------------------------------------------

export function showLibraries(bundle: Bundle): void {
  const roots = [...new Set(bundle.data.asked.flatMap(([kind, , to]) => (kind === 'entry' ? [to] : [])))]
  const programs = roots.filter(id => bundle.files[id]?.isLink === false)
  byId('libraries').replaceChildren(
    el('p', {}, 'What loaders do. What is only opened need not be there.'),
    el('ul', { class: 'tree' }, ...programs.slice(0, CHILDREN_SHOWN).map(id => node(bundle, id, ''))),
  )
}

/** Children are made when they are asked for: what needs itself in a circle goes on for as long as somebody looks. */
function node(bundle: Bundle, id: number, how: string): HTMLElement {
  const file = bundle.files[id]
  const label = [
    fileLink(id, bundle.label(id)),
    el('small', {}, ` ${file === undefined ? '' : bytesText(file.size)}  `, name(how)),
  ]
  const seen = new Set<number>()
  const next = bundle.needs(id).filter(step => LOADING.has(step.kind) && !seen.has(step.to) && seen.add(step.to))
  if (next.length === 0) return el('li', {}, ...label)
  const children = el('ul', { hidden: true })
  const toggle = (): void => {
    children.hidden = !children.hidden
    opener.setAttribute('aria-expanded', String(!children.hidden))
    if (children.hidden || children.childNodes.length > 0) return
    const shown = next.slice(0, CHILDREN_SHOWN)
    children.append(...shown.map(step => node(bundle, step.to, step.verb)))
    if (next.length > shown.length) children.append(el('li', {}, `and ${next.length - shown.length} more`))
  }
  // No details element: its summary may hold no link.
  const opener = el('button', {
    type: 'button',
    class: 'opener',
    'aria-expanded': 'false',
    'aria-label': `What ${bundle.label(id)} needs`,
    onclick: toggle,
  })
  return el('li', {}, opener, ...label, children)
}

// ---- What stayed out ---------------------------------------------------------------------------------------------

export function showOut({ data }: Bundle): void {
  const out = data.packages.map((p, id) => ({ ...p, id })).filter(({ files }) => files === 0)
  byId('out').replaceChildren(
    out.length === 0
      ? el('p', {}, 'No package is named, or known of Nix, that has no file in the bundle.')
      : el(
          'table',
          {},
          el('caption', {}, 'Packages without a file in the bundle, which its files name or Nix’s closure has.'),
          el('thead', {}, el('tr', {}, ...['Package', 'In Nix', 'Named by'].map(t => el('th', { scope: 'col' }, t)))),
          el(
            'tbody',
            {},
            ...out.map(({ id, label, nar, keptCount }) =>
              el(
                'tr',
                {},
                el('th', { scope: 'row' }, packageLink(id, label)),
                el('td', {}, nar === null ? '' : bytesText(nar)),
                el('td', {}, keptCount === 0 ? 'no file of the bundle' : counted(keptCount, 'place')),
              ),
            ),
          ),
        ),
  )
}
