/** Debian's chromium, asked over two pipes in its DevTools protocol; it has no network. */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

export class Browser {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve: (result: Answer) => void; reject: (error: Error) => void }>()
  readonly #seen: Answer[] = []
  #rest = ''
  #id = 0
  #session: string | undefined

  /** @param profile a directory of its own, which may be removed afterwards */
  constructor(profile: string) {
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars']
    // A name server that answers nothing, and a proxy that is none.
    const offline = ['--host-resolver-rules=MAP * ~NOTFOUND', '--proxy-server=127.0.0.1:1', '--no-first-run']
    const own = ['--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank']
    this.#process = spawn('chromium', [...flags, ...offline, ...own], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    })
    const out = this.#process.stdio[4] as Readable
    out.setEncoding('utf8')
    out.on('data', (text: string) => this.#take(text))
    this.#process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('chromium ended'))
    })
  }

  /** Opens a file in a page of its own. */
  async open(path: string, { width = 1400, height = 1000, dark = false } = {}): Promise<void> {
    if (this.#session === undefined) {
      const { targetInfos } = (await this.#ask('Target.getTargets')) as {
        targetInfos: { targetId: string; type: string }[]
      }
      const { targetId } = targetInfos.find(t => t.type === 'page')!
      const attached = await this.#ask('Target.attachToTarget', { targetId, flatten: true })
      this.#session = attached.sessionId as string
      for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await this.#ask(`${domain}.enable`)
    }
    this.#seen.length = 0
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
    await this.#ask('Emulation.setEmulatedMedia', { features })
    await this.#ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
    await this.#ask('Page.navigate', { url: `file://${path}` })
    await this.evaluate('new Promise(r => document.readyState === "complete" ? r() : addEventListener("load", r))')
  }

  /** What an expression comes to in the page. */
  async evaluate<T = unknown>(expression: string): Promise<T> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = (await this.#ask('Runtime.evaluate', options)) as {
      result: { value: T }
      exceptionDetails?: { exception?: { description?: string } }
    }
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'it failed in the page')
    return result.value
  }

  /** Presses a key as a person does: `a`, `Enter`, `ArrowDown`. */
  async press(key: string): Promise<void> {
    const text = key.length === 1 ? key : key === 'Enter' ? '\r' : undefined
    await this.#ask('Input.dispatchKeyEvent', { type: 'keyDown', key, ...(text !== undefined && { text }) })
    await this.#ask('Input.dispatchKeyEvent', { type: 'keyUp', key })
    await this.#settled()
  }

  async type(text: string): Promise<void> {
    await this.#ask('Input.insertText', { text })
  }

  /** Clicks what a selector finds first, in its middle. */
  async click(selector: string): Promise<void> {
    const [x, y] = await this.evaluate<[number, number]>(
      `(() => { const r = document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`,
    )
    const at = { x, y, button: 'left', clickCount: 1 }
    await this.#ask('Input.dispatchMouseEvent', { type: 'mousePressed', ...at })
    await this.#ask('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at })
    await this.#settled()
  }

  /** What an address names is shown when its event has come. */
  async #settled(): Promise<void> {
    await this.evaluate('new Promise(r => setTimeout(r, 15))')
  }

  async picture(to: string): Promise<void> {
    const { data } = await this.#ask('Page.captureScreenshot', { format: 'png' })
    writeFileSync(to, Buffer.from(data as string, 'base64'))
  }

  async print(to: string): Promise<void> {
    const { data } = await this.#ask('Page.printToPDF', { printBackground: true })
    writeFileSync(to, Buffer.from(data as string, 'base64'))
  }

  /** What the page was told off for since it was opened: errors, what its policy kept out, dialogs. */
  get complaints(): string[] {
    return this.#seen.flatMap(({ method = '', params }) =>
      ['Runtime.exceptionThrown', 'Log.entryAdded', 'Page.javascriptDialogOpening'].includes(method)
        ? [JSON.stringify(params)]
        : [],
    )
  }

  /** Addresses that it asked for besides itself. */
  get requests(): string[] {
    return this.#seen.flatMap(({ method, params }) =>
      method === 'Network.requestWillBeSent' ? [(params as { request: { url: string } }).request.url] : [],
    )
  }

  /** Ends it with all its processes, of which some write into the profile to the last. */
  async close(): Promise<void> {
    const ended = new Promise(resolve => this.#process.once('exit', resolve))
    this.#session = undefined
    await this.#ask('Browser.close').catch(() => this.#process.kill('SIGKILL'))
    await ended
  }

  #ask(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#id
    const message = { id, method, params, ...(this.#session !== undefined && { sessionId: this.#session }) }
    ;(this.#process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`)
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: ({ result, error }) =>
          error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result ?? {}),
        reject,
      })
    })
  }

  #take(text: string): void {
    const messages = (this.#rest + text).split('\0')
    this.#rest = messages.pop()!
    for (const message of messages) {
      const answer = JSON.parse(message) as Answer
      if (answer.id === undefined) this.#seen.push(answer)
      else {
        this.#waiting.get(answer.id)?.resolve(answer)
        this.#waiting.delete(answer.id)
      }
    }
  }
}
