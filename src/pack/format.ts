/** What a bundle can be written as. */
export const FORMATS = ['dir', 'tar', 'tar.gz', 'tar.zst'] as const
export type Format = (typeof FORMATS)[number]
