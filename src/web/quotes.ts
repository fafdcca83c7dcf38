import { type ConfabClient, RequestError } from '../client/index.ts'
import type { ConversationEvent } from '../events/index.ts'
import { type Message, Timeline } from './timeline.ts'

/** Events that are fetched around a message: its edits are often near it. */
const around = 20
/** Requests in flight. */
const atOnce = 4

/** Messages outside of the loaded range that replies quote, fetched one by one when they are shown. */
export class Quotes {
  readonly #c: string
  readonly #client: ConfabClient
  readonly #loaded: Timeline
  readonly #changed: () => void
  #known = new Map<string, Message | null>()
  #wanted = new Set<string>()
  #queue: string[] = []
  #busy = 0

  /** `loaded`: the loaded range, for later changes of a quoted message. */
  constructor(c: string, client: ConfabClient, loaded: Timeline, changed: () => void) {
    this.#c = c
    this.#client = client
    this.#loaded = loaded
    this.#changed = changed
  }

  /** Returns a message; `null` if it does not exist, undefined until it is fetched. */
  of(m: string): Message | null | undefined {
    const known = this.#known.get(m)
    if (known === undefined && !this.#wanted.has(m)) {
      this.#wanted.add(m)
      this.#queue.push(m)
      if (this.#busy < atOnce) void this.#work()
    }
    return known
  }

  /** Applies a live change of a quoted message. */
  accept(event: ConversationEvent): void {
    if (event.type !== 'message.edited' && event.type !== 'message.deleted') return
    const known = this.#known.get(event.m)
    if (known === undefined || known === null) return
    const change = event.type === 'message.edited' ? { text: event.text } : { text: '', deleted: true }
    this.#known.set(event.m, { ...known, ...change })
  }

  clear(): void {
    this.#known = new Map()
    this.#wanted = new Set()
    this.#queue = []
  }

  async #work(): Promise<void> {
    this.#busy++
    for (let m = this.#queue.shift(); m !== undefined; m = this.#queue.shift())
      await this.#fetch(m, this.#wanted)
    this.#busy--
  }

  async #fetch(m: string, wanted: ReadonlySet<string>): Promise<void> {
    let found: Message | null | undefined
    try {
      const { events } = await this.#client.request('history', { c: this.#c, around: m, limit: around })
      const timeline = new Timeline()
      timeline.replace([...events, ...this.#loaded.changesOf(m)])
      found = timeline.message(m) ?? null
    } catch (error) {
      // After another error the quote stays unknown until the conversation is opened again.
      if (RequestError.is(error) && error.code === 'NOT_FOUND') found = null
    }
    if (found === undefined || wanted !== this.#wanted) return
    this.#known.set(m, found)
    this.#changed()
  }
}
