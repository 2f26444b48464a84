/** `npm run picture`: puts the picture of the rooms into docs/architecture.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { importGraph, picture } from './imports.ts'

const page = 'docs/architecture.md'
const text = readFileSync(page, 'utf8')
writeFileSync(
  page,
  text.replace(/```mermaid\n[\s\S]*?\n```/, () => picture(importGraph('src'))),
)
