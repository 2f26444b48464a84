import { test } from 'vitest'
import { application } from '../support/darwin-closure.ts'
import { bundle, run } from '../support/bundle.ts'
test('x', () => {
  const { app } = application('universal')
  const r = bundle([app, '-f', 'dir', '-o', '/tmp/fl/dw', '--force', '-v'])
  console.log(r.code, r.stdout, r.stderr)
  console.log(run('sh', ['-c', 'cd /tmp/fl/dw || exit; find . -type f -o -type l | sort; grep -rlaF /nix/store . ; for f in $(find . -type f); do llvm-otool-19 -l $f 2>/dev/null | grep -E "name [@/]|path [@/]" ; done']).stdout)
})
