/**
 * What has to be done when the process is ended early: whoever starts something that must not be left behind says so
 * here. Everything is synchronous, because there is no later.
 */
const cleanups = new Set<() => void>()

/** Has `cleanup` called by `cleanUp`, once for each, in the order of their registration. */
export const onEarlyEnd = (cleanup: () => void): void => void cleanups.add(cleanup)

/** For signal handlers. */
export function cleanUp(): void {
  for (const cleanup of cleanups) cleanup()
}
