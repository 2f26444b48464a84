/** What is said of the file or package that is chosen: why it is there, step by step, and who else needs it. */
import type { Bundle, Step } from './bundle.ts'
import { byId, bytesText, counted, el, fileLink, name, packageLink } from './dom.ts'

const USERS_SHOWN = 20
const FILES_SHOWN = 100

export class Details {
  readonly #bundle: Bundle
  readonly #box = byId('details')

  constructor(bundle: Bundle) {
    this.#bundle = bundle
  }

  /** A file or directory, by its id. */
  show(id: number): void {
    const file = this.#bundle.files[id]
    const owner = this.#bundle.owner(id)
    const facts: [string, string | Node][] =
      file === undefined
        ? [['is', 'a directory']]
        : [
            ['is', file.isLink ? `a link (${file.role})` : `${file.role}, ${file.size.toLocaleString('en')} bytes`],
            ['lies at', name(file.at)],
          ]
    if (owner !== null) facts.push(['is of', packageLink(owner, this.#bundle.package(owner).label)])
    const without = this.#bundle.bytesWithout(other => other === id)
    const users = this.#bundle.users(id)
    this.#box.replaceChildren(
      heading(this.#bundle.label(id)),
      list(facts),
      el('h3', {}, 'Why'),
      this.#chain(id),
      without === null ? '' : el('p', {}, `Without it the bundle is ${without.toLocaleString('en')} bytes smaller.`),
      ...this.#steps(`Needed by ${counted(users.length, 'other')}`, users, step => step.from),
      ...this.#steps('Needs', this.#bundle.needs(id), step => step.to),
    )
  }

  /** A package, by its index. */
  showPackage(id: number): void {
    const { label, version, purl, cpe, by, files, bytes, alone, nar, why, kept, keptCount } = this.#bundle.package(id)
    const facts: [string, string][] = []
    if (files > 0) facts.push(['in the bundle', `${counted(files, 'file')}, ${bytes.toLocaleString('en')} bytes`])
    else facts.push(['in the bundle', 'nothing of it'])
    if (alone !== null) facts.push(['alone', `${bytesText(alone)}: what the bundle is smaller by without it`])
    if (nar !== null) facts.push(['in Nix', bytesText(nar)])
    if (why !== '') facts.push(['because', why])
    if (version !== null) facts.push(['version', `${version} (by ${by})`])
    if (purl !== null)
      facts.push(['purl', purl.startsWith('pkg:nix/') ? `${purl} (by ${by}; a draft)` : `${purl} (by ${by})`])
    if (cpe !== null) facts.push(['CPE', `${cpe} (by ${by})`])
    const own = this.#bundle.files.filter(file => file.package === id)
    const largest = [...own].sort((a, b) => b.size - a.size).slice(0, FILES_SHOWN)
    this.#box.replaceChildren(
      heading(label),
      list(facts),
      ...(largest.length === 0
        ? []
        : [
            el('h3', {}, largest.length < own.length ? `The largest ${FILES_SHOWN} files` : 'Files'),
            el(
              'ul',
              {},
              ...largest.map(f => el('li', {}, this.#link(f.id), ` ${f.isLink ? 'link' : bytesText(f.size)}`)),
            ),
          ]),
      ...(keptCount === 0
        ? []
        : [
            el('h3', {}, `Named all the same, ${counted(keptCount, 'time')}`),
            el('ul', {}, ...kept.map(([from, where]) => el('li', {}, this.#link(from), ` ${where}`))),
          ]),
    )
  }

  #chain(id: number): HTMLElement {
    const chain = this.#bundle.chain(id)
    if (chain === null) return el('p', {}, 'Nothing is known to lead to it.')
    return el(
      'ol',
      { class: 'chain' },
      el('li', {}, this.#link(chain.first), ` ${chain.asked}`),
      ...chain.steps.map(step =>
        el(
          'li',
          {},
          this.#link(step.from),
          ' ',
          name(step.verb),
          step.evidence === '' ? '' : el('small', {}, name(step.evidence)),
        ),
      ),
      chain.steps.length === 0 ? '' : el('li', { class: 'end' }, this.#link(id)),
    )
  }

  #steps(title: string, steps: readonly Step[], end: (step: Step) => number): Node[] {
    if (steps.length === 0) return []
    const shown = steps.slice(0, USERS_SHOWN)
    const more = steps.length - shown.length
    return [
      el('h3', {}, title),
      el(
        'ul',
        {},
        ...shown.map(step => el('li', {}, this.#link(end(step)), ' ', el('small', {}, name(step.verb)))),
        more > 0 ? el('li', {}, `and ${more.toLocaleString('en')} more`) : '',
      ),
    ]
  }

  #link(id: number): HTMLElement {
    return fileLink(id, this.#bundle.label(id))
  }
}

const heading = (text: string): HTMLElement => el('h2', { tabindex: -1 }, name(text))

const list = (facts: readonly (readonly [string, string | Node])[]): HTMLElement =>
  el(
    'dl',
    {},
    ...facts.flatMap(([what, value]) => [
      el('dt', {}, what),
      el('dd', {}, typeof value === 'string' ? name(value) : value),
    ]),
  )
