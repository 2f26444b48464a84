/** The page of a bundle (`--html`): what it consists of and why, in a browser without a network. */
import type { PageData } from '../model/page.ts'
import { Bundle, CAUSES } from './bundle.ts'
import { Details } from './details.ts'
import { byId, el } from './dom.ts'
import { TreeMap } from './map.ts'
import { showReferences } from './references.ts'
import { addSearch } from './search.ts'
import { showLibraries, showOut, showPackages } from './tables.ts'

const data = JSON.parse(byId('data').textContent ?? '') as PageData
const bundle = new Bundle(data)
const details = new Details(bundle)
const map = new TreeMap(bundle)

/** Shows what the address names: `#file-12`, `#package-3`. */
function show(): void {
  const [, what, digits] = /^#(file|package)-(\d{1,9})$/.exec(location.hash) ?? []
  const id = Number(digits)
  if (what === 'package' && id < data.packages.length) details.showPackage(id)
  else if (what === 'file' && id < data.files.length + data.directories.length) {
    details.show(id)
    if (id < data.files.length) map.mark(id)
  } else return
  seen()
}
addEventListener('hashchange', show)

/** On a narrow screen what was chosen stands below what chose it. */
function seen(): void {
  const box = byId('details')
  if (matchMedia('(max-width: 60rem)').matches) box.scrollIntoView({ block: 'nearest' })
  else box.scrollTop = 0
}

const TABS = ['packages', 'libraries', 'references', 'out'] as const
function tab(chosen: (typeof TABS)[number]): void {
  for (const id of TABS) {
    byId(id).hidden = id !== chosen
    const button = byId(`tab-${id}`)
    button.setAttribute('aria-selected', String(id === chosen))
    button.tabIndex = id === chosen ? 0 : -1
  }
}
for (const [i, id] of TABS.entries()) {
  const button = byId(`tab-${id}`)
  button.addEventListener('click', () => tab(id))
  button.addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
    if (step === undefined) return
    const next = TABS[(i + step + TABS.length) % TABS.length]!
    tab(next)
    byId(`tab-${next}`).focus()
  })
}

function legend(what: 'role' | 'cause'): void {
  const used = what === 'role' ? data.roles.filter(r => r !== 'link' && r !== 'name') : CAUSES
  const there = new Set(bundle.files.filter(f => f.size > 0).map(f => (what === 'role' ? f.role : bundle.cause(f.id))))
  byId('legend').replaceChildren(
    ...used.filter(w => there.has(w)).map(w => el('li', {}, el('span', { class: `${what}-${w}` }), w)),
  )
}

const colour = byId('colour') as HTMLSelectElement
colour.addEventListener('change', () => {
  const what = colour.value === 'cause' ? 'cause' : 'role'
  map.colourBy(what)
  legend(what)
})
const out = byId('show-out') as HTMLInputElement
if (data.nar === null) byId('show-out-label').hidden = true
out.addEventListener('change', () => map.showOut(out.checked))

addSearch(bundle)
showPackages(bundle)
showLibraries(bundle)
showReferences(bundle)
showOut(bundle)
tab('packages')
legend('role')
map.draw()
const [first] = data.shown
if (location.hash === '' && first !== undefined) location.hash = `file-${first}`
else show()
