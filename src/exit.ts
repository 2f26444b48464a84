/** Exit codes: done or clean, findings of severity error, could not run, interrupted (128 + SIGINT). */
export const EXIT = { ok: 0, findings: 1, failed: 2, interrupted: 130 } as const
