/**
 * Progress: one line on standard error that is written over as work goes on. Only on a terminal; nothing with
 * `--quiet` or `--json`, and nothing is left of it at the end.
 */
export interface Progress {
  /** What is being done now. Cheap: most calls print nothing. */
  update(text: string): void
  /** Wipes the line. */
  done(): void
}

export const silent: Progress = { update: () => {}, done: () => {} }

/** A line changes at most this often. In milliseconds. */
const INTERVAL = 80
/** Work that is over before this shows nothing. In milliseconds. */
const DELAY = 200

/** Progress on a terminal. */
export function terminalProgress(stream: NodeJS.WriteStream): Progress {
  let next = Date.now() + DELAY
  let shown = false
  return {
    update(text) {
      const now = Date.now()
      if (now < next) return
      next = now + INTERVAL
      shown = true
      stream.write(`\r\x1b[2K${text.slice(0, (stream.columns ?? 80) - 1)}`)
    },
    done() {
      if (shown) stream.write('\r\x1b[2K')
      shown = false
    },
  }
}
