/** Data that programs want and no store path of theirs holds (extras.ts), as `--with` names it. */
export const DATA_KINDS = ['ca-certificates', 'locales', 'tzdata'] as const
export type DataKind = (typeof DATA_KINDS)[number]
