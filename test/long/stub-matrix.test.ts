/** Programs of every linker in every layout, for every libc: the whole of what npm test takes a share of. */
process.env.STUB_MATRIX = 'full'
await import('../stub-matrix.test.ts')
