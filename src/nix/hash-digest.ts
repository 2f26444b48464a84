/** What a bundle says of the hashes of its closure: enough to know one again that should not be there, and none itself. */
import { hash as digest } from 'node:crypto'

export const digestOfHash = (hash: string): string => digest('sha256', hash).slice(0, 16)
