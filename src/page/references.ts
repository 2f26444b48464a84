/** The tab of references: every name that stands in a file of the bundle and leads to another, with its place there. */
import type { Bundle, Step } from './bundle.ts'
import { byId, el, fileLink, name } from './dom.ts'

/** Rows that are shown. */
const SHOWN = 200

export function showReferences(bundle: Bundle): void {
  const all = bundle.data.needs.flatMap((_, index): Row[] => {
    const step = bundle.step(index)
    if (step.evidence === '') return []
    const text = [bundle.label(step.from), step.verb, bundle.label(step.to), step.evidence].join('\n').toLowerCase()
    return [{ step, text }]
  })
  const filter = el('input', { type: 'search', 'aria-label': 'Only references that hold this', autocomplete: 'off' })
  filter.spellcheck = false
  const status = el('p', { role: 'status' })
  const body = el('tbody')
  const show = (): void => {
    const words = filter.value.toLowerCase().split(/\s+/)
    const found = all.filter(({ text }) => words.every(word => text.includes(word)))
    const shown = found.slice(0, SHOWN)
    const count = found.length.toLocaleString('en')
    status.textContent = found.length > shown.length ? `${count}, the first ${SHOWN} are shown` : count
    body.replaceChildren(...shown.map(({ step }) => row(bundle, step)))
  }
  filter.addEventListener('input', show)
  byId('references').replaceChildren(
    el('p', {}, el('label', {}, 'Only those that hold ', filter)),
    status,
    el(
      'table',
      { class: 'references' },
      el('caption', {}, 'Names in files that lead to other files. Offsets are in the bytes of the inputs.'),
      el('thead', {}, el('tr', {}, ...['File', 'Does', 'Leads to', 'Where'].map(t => el('th', { scope: 'col' }, t)))),
      body,
    ),
  )
  show()
}

interface Row {
  readonly step: Step
  /** All that it may be found by, in lower case. */
  readonly text: string
}

const row = (bundle: Bundle, { from, to, verb, evidence }: Step): HTMLElement =>
  el(
    'tr',
    {},
    el('th', { scope: 'row' }, fileLink(from, bundle.label(from))),
    el('td', {}, name(verb)),
    el('td', {}, fileLink(to, bundle.label(to))),
    el('td', {}, name(evidence)),
  )
