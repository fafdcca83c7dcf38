import type { Logger } from '../../base/logger.ts'
import type { ConversationView, LiveEvent, StateReader } from '../../commands/index.ts'
import { decodeUserEvent } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'
import type { ViewFreshness } from '../access/view-freshness.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import { Wire } from '../delivery/wire.ts'
import { push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import { Receipts } from './receipts.ts'

/** Names a mark, so that the session that moved it is not told of it. */
export const ownMark = (c: string, mark: number): string => `${c} ${mark}`

/** Tells a user's other devices, and the members of a small conversation, that a mark has moved. */
export class Marks {
  readonly #states: StateReader
  readonly #views: Views
  readonly #freshness: ViewFreshness
  readonly #sessions: SessionRegistry
  readonly #fanOut: FanOut
  readonly #receiptMembers: number
  readonly #viewWaitMs: number
  readonly #receipts: Receipts
  /** `<user> <c>` of the pushes that wait for the inbox view, and who gets them: several moves make one push, and whoever made the last one knows of it. */
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
      this.#tellMembers(c, user).catch(error =>
        parts.logger.error({ c, err: error }, 'a receipt could not be told'),
      )
    })
  }

  /** Whether there is anybody here to tell of a user's event. Nearly always there is not, and then nothing is parsed. */
  concern(event: LiveEvent): boolean {
    const { type, aggregate } = event
    if (type !== 'read.marked' && type !== 'delivered.marked') return false
    if (type === 'read.marked' && this.#sessions.has(aggregate.id)) return true
    return this.#fanOut.hasAny && this.#fanOut.audience(conversationIn(event.data)) > 0
  }

  /** A user's event that concerns somebody. Resolves when its devices have been told; the members of the conversation are told meanwhile. */
  async moved(event: LiveEvent): Promise<void> {
    const user = event.aggregate.id
    const devices = event.type === 'read.marked' ? this.#sessions.of(user) : []
    const decoded = decodeUserEvent(event)
    if (decoded.type !== 'read.marked' && decoded.type !== 'delivered.marked') return
    const { c, mark } = decoded
    const others = devices.filter(device => device.ownMark !== ownMark(c, mark))
    if (this.#fanOut.audience(c) > 0) this.#receipts.moved(c, user)
    if (devices.length > 0) await this.#tellDevices(c, user, others)
  }

  close(): void {
    this.#receipts.close()
  }

  async #tellMembers(c: string, user: string): Promise<void> {
    if (this.#fanOut.audience(c) === 0) return
    const view = await this.#states.conversation(c)
    if (view === undefined || !this.#getsReceipts(view, user)) return
    const marks = await this.#states.user(user)
    const read = marks.readMark(c)
    this.#fanOut.publish(
      c,
      Wire.of({
        t: 'signal',
        type: 'receipt',
        c,
        user,
        read,
        delivered: Math.max(read, marks.deliveredMark(c)),
      }),
    )
  }

  #getsReceipts(view: ConversationView, user: string): boolean {
    return view.memberCount <= this.#receiptMembers && view.roleOf(user) !== undefined
  }

  async #tellDevices(c: string, user: string, devices: readonly Session[]): Promise<void> {
    const key = `${user} ${c}`
    const isWaiting = this.#pending.has(key)
    if (isWaiting || devices.length > 0) this.#pending.set(key, devices)
    if (isWaiting || devices.length === 0) return
    let told = devices
    try {
      await this.#freshness.reached('inbox', this.#viewWaitMs)
    } finally {
      told = this.#pending.get(key) ?? devices
      this.#pending.delete(key)
    }
    const item = await this.#views.inbox.item(user, c)
    if (item === undefined) return
    const wire = Wire.of({ t: 'inbox', c, unread: item.unread, read: item.read, head: item.head })
    for (const device of told) push(device, wire.frame(device.encoding))
  }
}

const conversationField = Buffer.from('"c":"')
const quote = 0x22

/** The conversation that a mark is of, without parsing its body; '' when it is not written as confab writes it. Ids have nothing to escape, and a mark has no texts. */
const conversationIn = (body: Uint8Array): string => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const found = bytes.indexOf(conversationField)
  if (found < 0) return ''
  const start = found + conversationField.length
  return bytes.toString('latin1', start, bytes.indexOf(quote, start))
}
