import type { Logger } from '../../base/logger.ts'
import type { LiveEvent, SkippedListener } from '../../commands/index.ts'
import {
  decodeConversationEvent,
  decodeUserEvent,
  isFollowType,
  isMembershipType,
  type StoredEvent,
  wireBytes,
} from '../../events/index.ts'
import { type MembershipChange, type Memberships, membershipChange } from '../access/memberships.ts'
import type { EdgeMetrics } from '../ports/edge-metrics.ts'
import { pushObject } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { FanOut } from './fan-out.ts'
import { Wire } from './wire.ts'

/** A catch-up that collects the live events of conversations that a session is still reading missed events of. */
interface Resumes {
  isFilling(c: string): boolean
  offer(c: string, seq: number, wire: Wire): void
  removed(c: string, user: string): void
  isFull(session: Session): boolean
  resume(session: Session, cursors: Readonly<Record<string, number>>): Promise<void>
}

interface Reads {
  isKeeping(c: string): boolean
  offer(event: StoredEvent): void
}

interface StreamCatchUps {
  readonly isRunning: boolean
  readonly currentId: () => string
  offer(event: StoredEvent, change: MembershipChange | undefined, wire: Wire): void
  changed(change: MembershipChange): void
}

interface MarkEvents {
  concern(event: LiveEvent): boolean
  moved(event: LiveEvent): Promise<void>
}

/** Handles each event of the live feed on this edge node. */
export class LiveEvents {
  readonly #fanOut: FanOut
  readonly #sessions: SessionRegistry
  readonly #memberships: Memberships
  readonly #resumer: Resumes
  readonly #tails: Reads
  readonly #catchUp: StreamCatchUps
  readonly #slowConsumers: { holdPressed(): void }
  readonly #marks: MarkEvents
  readonly #metrics: EdgeMetrics
  readonly #logger: Logger

  constructor(parts: {
    fanOut: FanOut
    sessions: SessionRegistry
    memberships: Memberships
    resumer: Resumes
    tails: Reads
    catchUp: StreamCatchUps
    slowConsumers: { holdPressed(): void }
    marks: MarkEvents
    metrics: EdgeMetrics
    logger: Logger
  }) {
    this.#fanOut = parts.fanOut
    this.#sessions = parts.sessions
    this.#memberships = parts.memberships
    this.#resumer = parts.resumer
    this.#tails = parts.tails
    this.#catchUp = parts.catchUp
    this.#slowConsumers = parts.slowConsumers
    this.#marks = parts.marks
    this.#metrics = parts.metrics
    this.#logger = parts.logger
  }

  /** The feed's listener: does not throw, does not wait. */
  readonly listen = (event: LiveEvent): void => {
    if (event.aggregate.family === 'conv') this.#conversation(event)
    else this.#user(event)
  }

  /** The feed's listener for skipped events: `hello` needs to know how far the feed has come. */
  readonly skipped: SkippedListener = (_aggregate, _seq, position) =>
    this.#memberships.saw(position, undefined)

  #user(event: LiveEvent): void {
    try {
      if (isFollowType(event.type)) {
        this.#follow(event)
        return
      }
      this.#memberships.saw(event, undefined)
      if (this.#marks.concern(event)) void this.#marks.moved(event).catch(error => this.#failed(event, error))
    } catch (error) {
      this.#failed(event, error)
    }
  }

  /** Who comes into a channel by following it gets what has happened since, then what is live; who goes is told so, since no event does. */
  #follow(event: LiveEvent): void {
    const body = decodeUserEvent(event)
    const change = membershipChange(body)
    this.#memberships.saw(event, change)
    if (change === undefined) return
    this.#catchUp.changed(change)
    const { c } = change
    if (body.type === 'channel.followed') {
      // Where no resume is to be had, a client sees a gap at most, and asks for it.
      for (const session of this.#sessions.of(body.u)) {
        if (session.filling?.has(c)) continue
        if (session.encoding === 'sse' || this.#resumer.isFull(session)) this.#fanOut.subscribe(session, c)
        else void this.#resumer.resume(session, { [c]: body.head })
      }
    } else if (change.left !== undefined) {
      this.#leave(c, change.left)
      // One that is being filled is told by that.
      for (const session of this.#sessions.of(change.left))
        if (!session.filling?.has(c)) pushObject(session, { t: 'refetch', c, head: 0, reason: 'not_member' })
    }
  }

  #conversation(event: LiveEvent): void {
    const c = event.aggregate.id
    try {
      const change = isMembershipType(event.type)
        ? membershipChange(decodeConversationEvent(event))
        : undefined
      this.#memberships.saw(event, change)
      // Who comes in gets the event of it, and for who goes it is the last.
      if (change !== undefined) this.#join(change)
      this.#publish(c, event, change)
      if (change?.left !== undefined) this.#leave(c, change.left)
    } catch (error) {
      this.#failed(event, error)
    }
  }

  #publish(c: string, event: LiveEvent, change: MembershipChange | undefined): void {
    if (this.#tails.isKeeping(c)) this.#tails.offer(event)
    const filling = this.#resumer.isFilling(c)
    if (!filling && !this.#catchUp.isRunning && this.#fanOut.audience(c) === 0) return
    const wire = new Wire(wireBytes(event), this.#catchUp.currentId)
    this.#catchUp.offer(event, change, wire)
    if (filling) this.#resumer.offer(c, event.envelope.seq, wire)
    const sockets = this.#fanOut.publish(c, wire, event)
    this.#slowConsumers.holdPressed()
    if (sockets > 0) this.#metrics.delivered(sockets, (Date.now() - decidedAt(wire.json)) / 1000)
  }

  #join(change: MembershipChange): void {
    for (const user of change.joined)
      for (const session of this.#sessions.of(user))
        if (!session.filling?.has(change.c)) this.#fanOut.subscribe(session, change.c)
  }

  #leave(c: string, user: string): void {
    this.#resumer.removed(c, user)
    for (const session of this.#sessions.of(user)) this.#fanOut.unsubscribe(session, c)
  }

  #failed(event: LiveEvent, error: unknown): void {
    const { stream, streamSeq } = event
    this.#logger.error({ stream, streamSeq, err: error }, 'a live event could not be handled')
  }
}

const atField = Buffer.from('"at":"')
const timeChars = '2026-11-24T02:30:43.123Z'.length

/** The `at` of an event's JSON, ms since 1970, without parsing all of it. A quote in a text is escaped, so that none is taken for the field. */
const decidedAt = (json: Uint8Array): number => {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.byteLength)
  const start = bytes.indexOf(atField) + atField.length
  return Date.parse(bytes.toString('latin1', start, start + timeChars))
}
