/**
 * Spells the store directory otherwise in the built command (`/nix/stor\x65` in its strings and expressions), so that it can be
 * bundled: a bundle has no store in it, and a command that looks for the name that is put in its place finds nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs'

for (const name of ['dist/start.cjs', 'dist/cli.cjs', 'dist/pipeline.cjs', 'dist/look.cjs'])
  writeFileSync(name, readFileSync(name, 'utf8').replace(/(\\?\/)nix\1store/g, '$1nix$1stor\\x65'))
