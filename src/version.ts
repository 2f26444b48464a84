/** The version of this package, put in at build time from package.json. */
declare const STOREFREE_VERSION: string | undefined

export const VERSION: string = typeof STOREFREE_VERSION === 'string' ? STOREFREE_VERSION : 'development'
