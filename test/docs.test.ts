/** What the documents say of each other is so. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { blocksOf } from './support/documented.ts'

const pages = ['README.md', 'CONTRIBUTING.md', ...readdirSync('docs').map(name => `docs/${name}`)].filter(name =>
  name.endsWith('.md'),
)

/** The names by which GitHub and others find a page's headings. */
const anchors = (page: string): string[] =>
  [...readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )

test.each(pages)('the links of %s lead somewhere', page => {
  const dead: string[] = []
  for (const [, path, anchor] of readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const file = path ? join(dirname(page), path) : page
    if (!existsSync(file)) dead.push(path!)
    else if (anchor && !anchors(file).includes(anchor)) dead.push(`${path}#${anchor}`)
  }
  expect(dead).toEqual([])
})

test('every page stands in the index', () => {
  const index = readFileSync('docs/README.md', 'utf8')
  expect(
    pages
      .filter(page => page.startsWith('docs/') && page !== 'docs/README.md')
      .map(page => page.slice('docs/'.length))
      .filter(page => !index.includes(`(${page})`)),
  ).toEqual([])
})

// All that stands in blocks is run, or says why not: test/full/documented.test.ts.
test.each(pages.filter(page => page !== 'CONTRIBUTING.md'))('the blocks of %s say what they are', page => {
  expect(blocksOf(page).map(block => block.language)).not.toContain('')
})
