import type { Logger } from '../../base/logger.ts'
import type { ConversationView, LiveEvent, StateReader } from '../../commands/index.ts'
import { decodeUserEvent } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'
import { hasBlockWithCompanion } from '../access/blocks.ts'
import type { ViewFreshness } from '../access/view-freshness.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import { Wire } from '../delivery/wire.ts'
import { push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'

/** Identifies a marker, so that the session that moved it gets no push for it. */
export const ownMark = (c: string, mark: number): string => `${c} ${mark}`

/**
 * Schedules receipts by conversation: the first at once, those of the next `everyMs` together, one for each user. Keeps
 * nothing for a conversation without moves in that time.
 */
export class Receipts {
  readonly #everyMs: number
  readonly #send: (c: string, user: string) => void
  /** Users whose markers moved since the last receipts of the conversation. */
  readonly #waiting = new Map<string, Set<string>>()
  readonly #timers = new Set<NodeJS.Timeout>()

  constructor(everyMs: number, send: (c: string, user: string) => void) {
    this.#everyMs = everyMs
    this.#send = send
  }

  moved(c: string, user: string): void {
    const waiting = this.#waiting.get(c)
    if (waiting !== undefined) {
      waiting.add(user)
      return
    }
    this.#send(c, user)
    if (this.#everyMs > 0) this.#wait(c)
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#waiting.clear()
  }

  #wait(c: string): void {
    this.#waiting.set(c, new Set())
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const users = this.#waiting.get(c)
      this.#waiting.delete(c)
      if (users === undefined || users.size === 0) return
      for (const user of users) this.#send(c, user)
      this.#wait(c)
    }, this.#everyMs)
    this.#timers.add(timer.unref())
  }
}

/**
 * Pushes a moved marker to the other devices of its user, and as a receipt to the members of a small conversation,
 * unless the user hides markers.
 */
export class Markers {
  readonly #states: StateReader
  readonly #views: Views
  readonly #freshness: ViewFreshness
  readonly #sessions: SessionRegistry
  readonly #fanOut: FanOut
  readonly #receiptMembers: number
  readonly #viewWaitMs: number
  readonly #receipts: Receipts
  /**
   * Sessions that get a push once the inbox view is fresh, by `<user> <c>`. Several moves make one push; the session of
   * the last move needs none.
   */
  readonly #pending = new Map<string, readonly Session[]>()

  constructor(
    parts: {
      states: StateReader
      views: Views
      freshness: ViewFreshness
      sessions: SessionRegistry
      fanOut: FanOut
      logger: Logger
    },
    limits: { receiptMembers: number; receiptEveryMs: number; viewWaitMs: number },
  ) {
    this.#states = parts.states
    this.#views = parts.views
    this.#freshness = parts.freshness
    this.#sessions = parts.sessions
    this.#fanOut = parts.fanOut
    this.#receiptMembers = limits.receiptMembers
    this.#viewWaitMs = limits.viewWaitMs
    this.#receipts = new Receipts(limits.receiptEveryMs, (c, user) => {
      this.#sendReceipt(c, user).catch(error => parts.logger.error({ c, err: error }, 'receipt failed'))
    })
  }

  /** Whether a user's event is a marker that concerns a session here. Does not parse the body. */
  concern(event: LiveEvent): boolean {
    const { type, aggregate } = event
    if (type !== 'read.marked' && type !== 'delivered.marked') return false
    if (type === 'read.marked' && this.#sessions.has(aggregate.id)) return true
    return this.#fanOut.hasAny && this.#fanOut.audience(conversationIn(event.data)) > 0
  }

  /** Handles a marker that concerns a session here. Resolves when the user's devices have their pushes. */
  async moved(event: LiveEvent): Promise<void> {
    const user = event.aggregate.id
    const devices = event.type === 'read.marked' ? this.#sessions.of(user) : []
    const decoded = decodeUserEvent(event)
    if (decoded.type !== 'read.marked' && decoded.type !== 'delivered.marked') return
    const { c, mark } = decoded
    const others = devices.filter(device => device.ownMark !== ownMark(c, mark))
    if (this.#fanOut.audience(c) > 0) this.#receipts.moved(c, user)
    if (devices.length > 0) await this.#pushToDevices(c, user, others)
  }

  close(): void {
    this.#receipts.close()
  }

  async #sendReceipt(c: string, user: string): Promise<void> {
    if (this.#fanOut.audience(c) === 0) return
    const view = await this.#states.conversation(c)
    if (view === undefined || !this.#hasReceipts(view, user)) return
    const state = await this.#states.user(user)
    if (state.receipts === 'nobody' || (await hasBlockWithCompanion(this.#states, view, user))) return
    const read = state.readMark(c)
    this.#fanOut.publish(
      c,
      Wire.of({
        t: 'signal',
        type: 'receipt',
        c,
        user,
        read,
        delivered: Math.max(read, state.deliveredMark(c)),
      }),
    )
  }

  #hasReceipts(view: ConversationView, user: string): boolean {
    return view.memberCount <= this.#receiptMembers && view.roleOf(user) !== undefined
  }

  async #pushToDevices(c: string, user: string, devices: readonly Session[]): Promise<void> {
    const key = `${user} ${c}`
    const isWaiting = this.#pending.has(key)
    if (isWaiting || devices.length > 0) this.#pending.set(key, devices)
    if (isWaiting || devices.length === 0) return
    let receivers = devices
    try {
      await this.#freshness.reached('inbox', this.#viewWaitMs)
    } finally {
      receivers = this.#pending.get(key) ?? devices
      this.#pending.delete(key)
    }
    const item = await this.#views.inbox.item(user, c)
    if (item === undefined) return
    const wire = Wire.of({ t: 'inbox', c, unread: item.unread, read: item.read, head: item.head })
    for (const device of receivers) push(device, wire.frame(device.encoding))
  }
}

const conversationField = Buffer.from('"c":"')
const quote = 0x22

/**
 * The conversation in the body of a marker, without parsing the JSON; '' for a body that confab does not write like
 * this. Ids need no escapes, and a marker has no texts.
 */
const conversationIn = (body: Uint8Array): string => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const found = bytes.indexOf(conversationField)
  if (found < 0) return ''
  const start = found + conversationField.length
  return bytes.toString('latin1', start, bytes.indexOf(quote, start))
}
