import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    maxWorkers: 2,
    // The long campaigns run when they are asked for: `npm run test:long`.
    projects: [
      // Pure code and small files; some compile programs.
      { test: { name: 'unit', include: ['test/*.test.ts'], testTimeout: 60_000 } },
      // The built command on the real store of native-fixtures/, in roots of its own.
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
      // The same on the larger set, whose programs take half an hour to build: `npm run test:full`.
      {
        test: {
          name: 'full',
          include: ['test/full/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'long',
          include: ['test/long/*.test.ts'],
          globalSetup: ['test/e2e/setup.ts'],
          testTimeout: 3_600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
