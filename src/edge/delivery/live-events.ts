import type { Logger } from '../../base/logger.ts'
import type { LiveEvent, SkippedListener } from '../../commands/index.ts'
import {
  type ConversationEvent,
  decodeConversationEvent,
  decodeUserEvent,
  isAudienceType,
  isFollowType,
  isMembershipType,
} from '../../events/index.ts'
import { type MembershipChange, type Memberships, membershipChange } from '../access/memberships.ts'
import type { EdgeMetrics } from '../ports/edge-metrics.ts'
import { pushObject } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import type { FanOut } from './fan-out.ts'
import { invitationChanges } from './invitations.ts'
import { clientBytes, Wire, type WireEvent } from './wire.ts'

/** The sessions that catch up: they receive live events after those that they have missed. */
export interface CatchUps {
  /** Whether a conversation's live events are to be passed to `offer`. */
  needs(c: string): boolean
  offer(event: WireEvent): void
  /** Takes each change of membership, before the event that made it. */
  changed(change: MembershipChange): void
  /** Makes the catch-ups of a conversation or a user read what `offer` does not receive. */
  restart(of: { readonly c: string } | { readonly user: string }): void
  /** The id of live events on event streams. */
  readonly currentId: () => string
  isFull(session: Session): boolean
  resume(session: Session, cursors: Readonly<Record<string, number>>): Promise<void>
}

interface MarkEvents {
  concern(event: LiveEvent): boolean
  moved(event: LiveEvent): Promise<void>
}

/** The users that see whether others are online. */
interface Audience {
  concerns(user: string): boolean
  blocked(user: string, asker: string): void
  unblocked(user: string, asker: string): void
  changed(user: string, isHidden: boolean): void
  left(c: string, user: string): Promise<void>
}

interface LiveEventParts {
  readonly fanOut: FanOut
  readonly sessions: SessionRegistry
  readonly memberships: Memberships
  readonly catchUp: CatchUps
  readonly slowConsumers: { holdPressed(): void }
  readonly marks: MarkEvents
  readonly audience: Audience
  readonly metrics: EdgeMetrics
  readonly logger: Logger
}

/** Delivers each event of the live feed to the sessions of this edge node. */
export class LiveEvents {
  readonly #parts: LiveEventParts

  constructor(parts: LiveEventParts) {
    this.#parts = parts
  }

  /** Listener of the live feed. It does not throw and does not wait. */
  readonly listen = (event: LiveEvent): void => {
    try {
      if (event.aggregate.family === 'conv') this.#conversation(event)
      else this.#user(event)
    } catch (error) {
      this.#failed(event, error)
    }
  }

  /**
   * Listener for events that the feed skips. A client that connects in this turn of the event loop has to know the
   * position.
   */
  readonly skipped: SkippedListener = (_aggregate, _seq, position) =>
    this.#parts.memberships.saw(position, undefined)

  #user(event: LiveEvent): void {
    const { memberships, marks, audience } = this.#parts
    if (isFollowType(event.type)) {
      this.#follow(event)
      return
    }
    memberships.saw(event, undefined)
    if (isAudienceType(event.type) && audience.concerns(event.aggregate.id)) this.#audienceChanged(event)
    if (marks.concern(event)) void marks.moved(event).catch(error => this.#failed(event, error))
  }

  #audienceChanged(event: LiveEvent): void {
    const { audience } = this.#parts
    const body = this.#decode(event, decodeUserEvent)
    if (body?.type === 'user.blocked') audience.blocked(body.u, body.user)
    else if (body?.type === 'user.unblocked') audience.unblocked(body.u, body.user)
    else audience.changed(event.aggregate.id, body?.type === 'privacy.changed' && body.lastSeen === 'nobody')
  }

  /**
   * A user that follows a channel receives what happened since, then live events. A user that no longer follows it
   * receives `refetch`, because no event of the channel says so.
   */
  #follow(event: LiveEvent): void {
    const { fanOut, sessions, memberships, catchUp } = this.#parts
    const body = this.#decode(event, decodeUserEvent)
    const change = body === undefined ? undefined : membershipChange(body)
    memberships.saw(event, change)
    if (body === undefined || change === undefined) return
    catchUp.changed(change)
    const { c } = change
    if (body.type === 'channel.followed') {
      // No live event brings what happened in the channel since.
      catchUp.restart({ user: body.u })
      for (const session of sessions.of(body.u)) {
        if (session.catchingUp?.has(c)) continue
        // Without a resume, the client notices the gap at the next event and asks for it.
        if (session.encoding === 'sse' || catchUp.isFull(session)) fanOut.subscribe(session, c)
        else void catchUp.resume(session, { [c]: body.head })
      }
    } else if (change.left !== undefined) {
      this.#leave(c, change.left)
      // The catch-up of a session sends its own `refetch`.
      for (const session of sessions.of(change.left))
        if (!session.catchingUp?.has(c))
          pushObject(session, { t: 'refetch', c, head: 0, reason: 'not_member' })
    }
  }

  #conversation(event: LiveEvent): void {
    const { memberships, catchUp } = this.#parts
    const c = event.aggregate.id
    const body = isMembershipType(event.type) ? this.#decode(event, decodeConversationEvent) : undefined
    const change = body === undefined ? undefined : membershipChange(body)
    memberships.saw(event, change)
    // A user that joins receives the event of it. To a user that leaves, the event is the last one.
    if (change !== undefined) {
      catchUp.changed(change)
      this.#join(change)
    }
    this.#publish(c, event)
    if (body !== undefined) this.#pushInvitations(body)
    if (change?.left !== undefined) {
      this.#leave(c, change.left)
      void this.#parts.audience.left(c, change.left).catch(error => this.#failed(event, error))
    }
  }

  #publish(c: string, event: LiveEvent): void {
    const { fanOut, catchUp, slowConsumers, metrics } = this.#parts
    const isNeeded = catchUp.needs(c)
    if (!isNeeded && fanOut.audience(c) === 0) return
    const bytes = clientBytes(event)
    if (bytes === undefined) {
      // Clients notice the gap and resume. A catch-up that is running must not continue across it.
      if (isNeeded) catchUp.restart({ c })
      throw new Error('no client can receive it')
    }
    const wire = new Wire(bytes, catchUp.currentId)
    const { stream, streamSeq } = event
    if (isNeeded) catchUp.offer({ c, seq: event.envelope.seq, stream, streamSeq, wire })
    const sockets = fanOut.publish(c, wire, event)
    slowConsumers.holdPressed()
    const at = sockets > 0 ? decidedAt(wire.json) : Number.NaN
    // The clock of the node that decided the event may be ahead.
    if (!Number.isNaN(at)) metrics.delivered(sockets, Math.max(0, Date.now() - at) / 1000, event)
  }

  /**
   * Returns undefined, and logs it, when this build cannot read the event: it is delivered, and nothing follows from it
   * here.
   */
  #decode<T>(event: LiveEvent, decode: (event: LiveEvent) => T): T | undefined {
    try {
      return decode(event)
    } catch (error) {
      this.#failed(event, error)
      return undefined
    }
  }

  #join(change: MembershipChange): void {
    for (const user of change.joined)
      for (const session of this.#parts.sessions.of(user))
        if (!session.catchingUp?.has(change.c)) this.#parts.fanOut.subscribe(session, change.c)
  }

  /** An invited user does not receive the events of the conversation. */
  #pushInvitations(event: ConversationEvent): void {
    for (const [user, push] of invitationChanges(event))
      for (const session of this.#parts.sessions.of(user)) pushObject(session, push)
  }

  #leave(c: string, user: string): void {
    for (const session of this.#parts.sessions.of(user)) this.#parts.fanOut.unsubscribe(session, c)
  }

  #failed({ stream, streamSeq, type }: LiveEvent, error: unknown): void {
    this.#parts.logger.error({ stream, streamSeq, type, err: error }, 'live event could not be delivered')
  }
}

const atField = Buffer.from('"at":"')
const timeChars = '2026-11-24T02:30:43.123Z'.length

/**
 * Returns the `at` of an event's JSON, ms since 1970, without parsing all of it; NaN when it has none. Quotes within
 * texts are escaped, so a text cannot contain the field.
 */
const decidedAt = (json: Uint8Array): number => {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.byteLength)
  const found = bytes.indexOf(atField)
  const start = found + atField.length
  return found < 0 ? Number.NaN : Date.parse(bytes.toString('latin1', start, start + timeChars))
}
