import type { TemplatedApp } from 'uWebSockets.js'
import { flushAll, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { Wire } from './wire.ts'

/**
 * Whether a session has joined a topic, any, since one was published to last. What waits in its outbox was first, and a topic does not pass through the outbox;
 * but to send it at once would be a system call a topic, for a session that joins ten of them in one turn.
 */
let hasJoined = false

/** How soon the next look has to be due for a topic to be fast, and how long it is known whose it is, ms. What is slower is seen by the round of all sockets. */
const fastMs = 250
const knownMs = 1_000

/** Sockets a millisecond of gap, and the longest gap, ms. */
const socketsPerGapMs = 100
const longestGapMs = 50

/**
 * A conversation of many local sockets: two topics of the transport, one an encoding. What is published goes out at once when it comes alone. After that there
 * is a gap, longer the more sockets there are (10 ms for 1,000), in which what comes is gathered and then goes out together: a socket costs one system call,
 * not one a message, and a busy conversation of thousands cannot take up the whole node. Event streams and calls of gRPC, of which there are few, get each at once.
 */
export class Topic {
  readonly #app: TemplatedApp
  readonly #json: string
  readonly #msgpack: string
  readonly #lookBytes: number
  readonly #sessions: () => Session[]
  #jsonSockets = 0
  #msgpackSockets = 0
  #streams: Set<Session> | undefined
  /** Sessions that are behind: they are counted, and get nothing. Undefined when there is none. */
  held: Set<Session> | undefined
  /** Undefined: there is no gap at the moment. */
  #gathered: Wire[] | undefined
  /** Published since the last look was due, and when that was. */
  #bytes = 0
  #dueAt = 0
  /** Whose it is, while it is fast, and perhaps whose it was: to keep it for each topic would be the most that an idle socket costs. */
  #known: Session[] | undefined

  /** `sessions`: those that it has; `lookBytes`: published, after which they are looked at. */
  constructor(
    app: TemplatedApp,
    name: string,
    { lookBytes, sessions }: { lookBytes: number; sessions: () => Session[] },
  ) {
    this.#app = app
    this.#json = `j${name}`
    this.#msgpack = `m${name}`
    this.#lookBytes = lookBytes
    this.#sessions = sessions
  }

  get sockets(): number {
    return this.#jsonSockets + this.#msgpackSockets + (this.#streams?.size ?? 0) + (this.held?.size ?? 0)
  }

  /** From now on it gets what is published, and nothing that was before. */
  add(session: Session): void {
    if (session.behind !== undefined) {
      this.held ??= new Set()
      this.held.add(session)
      return
    }
    if (session.encoding === 'sse' || session.encoding === 'grpc') {
      this.#streams ??= new Set()
      this.#streams.add(session)
      return
    }
    this.#sendGathered()
    if (session.closed) return
    hasJoined = true
    session.ws.subscribe(session.encoding === 'json' ? this.#json : this.#msgpack)
    this.#count(session, 1)
    this.#known?.push(session)
  }

  /** It gets what was published until now. */
  remove(session: Session): void {
    if (this.#streams?.delete(session) || this.#unheld(session)) return
    this.#sendGathered()
    if (!session.closed) session.ws.unsubscribe(session.encoding === 'json' ? this.#json : this.#msgpack)
    this.#count(session, -1)
  }

  /** A session that is in it is behind. */
  hold(session: Session): void {
    this.remove(session)
    this.add(session)
  }

  /** It is behind no more. */
  release(session: Session): void {
    if (this.#unheld(session)) this.add(session)
  }

  #unheld(session: Session): boolean {
    const wasHeld = this.held?.delete(session) ?? false
    if (this.held?.size === 0) this.held = undefined
    return wasHeld
  }

  publish(wire: Wire): void {
    if (this.#streams !== undefined)
      for (const session of this.#streams) push(session, wire.frame(session.encoding))
    if (this.#gathered !== undefined) {
      this.#gathered.push(wire)
      return
    }
    this.#send(wire)
    const gapMs = Math.min(longestGapMs, Math.floor(this.sockets / socketsPerGapMs))
    if (gapMs > 0) this.#beginGap(gapMs)
  }

  #send(wire: Wire): void {
    if (hasJoined) {
      hasJoined = false
      flushAll()
    }
    if (this.#jsonSockets > 0) this.#app.publish(this.#json, wire.json, false)
    if (this.#msgpackSockets > 0) this.#app.publish(this.#msgpack, wire.msgpack, true)
    this.#bytes += wire.json.length
    if (this.#bytes >= this.#lookBytes) this.#look()
  }

  /** The transport does not tell who did not take what was published, and to ask each socket each time would be dear. */
  #look(): void {
    const now = performance.now()
    const isFast = now - this.#dueAt < fastMs
    this.#bytes = 0
    this.#dueAt = now
    if (!isFast) return
    if (this.#known === undefined) {
      this.#known = this.#sessions()
      setTimeout(() => {
        this.#known = undefined
      }, knownMs).unref()
    }
    for (const session of this.#known) session.onPressure?.(session)
  }

  #sendGathered(): void {
    const gathered = this.#gathered
    if (gathered === undefined || gathered.length === 0) return
    this.#gathered = []
    for (const wire of gathered) this.#send(wire)
  }

  #beginGap(gapMs: number): void {
    this.#gathered = []
    // The transport sends between two turns of the loop. The gap is to begin after that, or sending would use it up.
    setImmediate(() => setImmediate(() => setTimeout(() => this.#endGap(gapMs), gapMs)))
  }

  #endGap(gapMs: number): void {
    const isBusy = this.#gathered !== undefined && this.#gathered.length > 0
    this.#sendGathered()
    this.#gathered = undefined
    if (isBusy) this.#beginGap(gapMs)
  }

  #count(session: Session, by: number): void {
    if (session.encoding === 'json') this.#jsonSockets += by
    else this.#msgpackSockets += by
  }
}
