/** A thread that looks into files (looks.ts): built to dist/look.cjs. */
import { OnDisk, READ_SIZE } from '../archive/contents.ts'
import { lstat } from '../io/store.ts'
import { run } from '../io/task.ts'
import { serve } from '../io/workers.ts'
import { borrow } from '../references/sieve.ts'
import { lookInto } from './checks/packed.ts'
import { type Asked, claimed, type FileOnDisk, forbiddenOf, type Sent, type Sight, sightOf } from './looks.ts'

serve(({ forbidden: list, wanted, early }: Asked) => {
  const forbidden = forbiddenOf(list)
  const buffer = borrow(READ_SIZE)
  const look = async (root: string, { name, size }: FileOnDisk): Promise<Sight | null> => {
    const path = `${root}/${name}`
    try {
      // Before it is read: what is written from then on shows.
      const changed = early ? lstat(path)!.changed : null
      const looked = run(lookInto(new OnDisk(path, size, buffer), name, forbidden, wanted))
      return sightOf(looked instanceof Promise ? await looked : looked, changed)
    } catch {
      // Whoever asked looks himself, and sees why not.
      return null
    }
  }
  return async ({ root, files, claim }: Sent): Promise<readonly (Sight | null)[] | null> => {
    if (!claimed(claim)) return null
    const sights: (Sight | null)[] = []
    for (const file of files) sights.push(await look(root, file))
    return sights
  }
})
