/** What `--include` names. */
import type { SourcePath } from '../paths.ts'
import { globs } from '../references/glob.ts'
import { withoutHash } from './packages.ts'
import { walkTree } from './tree.ts'

/** The files and links of packages that a glob matches, by package and path; a hash in a path need not be given. */
export function included(glob: string, roots: ReadonlySet<SourcePath>): SourcePath[] {
  const matches = globs([glob])
  return [...roots]
    .sort()
    .flatMap(root =>
      [...walkTree(root, () => true)]
        .filter(({ path, type }) => (type === 'file' || type === 'link') && matches(withoutHash(path)))
        .map(({ path }) => path),
    )
}
