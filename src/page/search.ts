/** The search box: files and packages whose name holds all words that are typed. */
import type { Bundle } from './bundle.ts'
import { byId, bytesText, counted, el, fileLink, packageLink } from './dom.ts'

const RESULTS_SHOWN = 200

export function addSearch(bundle: Bundle): void {
  const box = byId('search') as HTMLInputElement
  const results = byId('results')
  const said = byId('found')
  const texts = bundle.files.map(({ at, label }) => `${at}\n${label}`.toLowerCase())
  const search = (): void => {
    const words = box.value
      .toLowerCase()
      .split(/\s+/)
      .filter(word => word !== '')
    if (words.length === 0) {
      results.replaceChildren()
      said.textContent = ''
      return
    }
    const isIt = (text: string): boolean => words.every(word => text.includes(word))
    const packages = bundle.data.packages.flatMap((p, id) => (isIt(p.label.toLowerCase()) ? [id] : []))
    // Files of a package that is meant are not told one by one before others.
    const files = texts.flatMap((text, id) => (isIt(text) ? [id] : []))
    const base = (id: number): string => bundle.files[id]!.at.split('/').at(-1)!.toLowerCase()
    const rank = (id: number): number => (base(id) === words.join(' ') ? 0 : isIt(base(id)) ? 1 : 2)
    files.sort((a, b) => rank(a) - rank(b) || bundle.files[b]!.size - bundle.files[a]!.size)
    said.textContent = `${counted(files.length, 'file')}, ${counted(packages.length, 'package')}${files.length + packages.length > RESULTS_SHOWN ? `; ${RESULTS_SHOWN} are shown` : ''}`
    results.replaceChildren(
      ...packages.map(id => row(packageLink(id, bundle.package(id).label), 'package')).slice(0, RESULTS_SHOWN / 4),
      ...files.slice(0, RESULTS_SHOWN).map(id => {
        const { label, size, isLink } = bundle.files[id]!
        return row(fileLink(id, label), isLink ? 'link' : bytesText(size))
      }),
    )
  }
  box.addEventListener('input', search)
  box.addEventListener('keydown', event => {
    if (event.key === 'Escape') {
      box.value = ''
      search()
    } else if (event.key === 'Enter' || event.key === 'ArrowDown') {
      const [first] = results.getElementsByTagName('a')
      if (event.key === 'Enter') first?.click()
      else first?.focus()
      event.preventDefault()
    }
  })
  document.addEventListener('keydown', event => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || document.activeElement === box) return
    box.focus()
    box.select()
    event.preventDefault()
  })
}

const row = (link: HTMLElement, size: string): HTMLElement => el('li', {}, link, el('small', {}, ` ${size}`))
