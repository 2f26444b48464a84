/** What a bundle says of the hashes of its closure: enough to know one again that should not be there, and none itself. */
import { createHash } from 'node:crypto'

export const digestOfHash = (hash: string): string => createHash('sha256').update(hash).digest('hex').slice(0, 16)
