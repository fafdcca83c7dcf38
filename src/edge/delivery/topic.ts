import type { TemplatedApp } from 'uWebSockets.js'
import { flushAll, push } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { Wire } from './wire.ts'

/**
 * Whether a session has joined any topic since the last publish to a topic. Its outbox may hold earlier frames, which
 * have to be sent first, because a topic does not use the outbox. Flushing at the join would cost a system call for
 * each topic, for a session that joins ten topics in one turn of the event loop.
 */
let hasJoined = false

/**
 * A topic is fast when `checkBytes` are published to it within this time, ms. The periodic check covers slower topics.
 */
const fastMs = 250
/** How long a fast topic keeps the list of its sessions, ms. */
const sessionsMs = 1_000

/** Sockets for each millisecond of a batch, and the longest batch, ms. */
const socketsPerBatchMs = 100
const longestBatchMs = 50

/**
 * Publishes to a conversation of many local sockets by two topics of the transport, one for each encoding. The first
 * push is sent at once. It starts a batch, which lasts longer the more sockets there are (10 ms for 1,000): all pushes
 * until its end are sent together. A socket then costs one system call for a batch, not one for a push, and a busy
 * conversation of thousands cannot occupy the whole node. Event streams and gRPC calls are few, and receive each push
 * at once.
 */
export class Topic {
  readonly #app: TemplatedApp
  readonly #json: string
  readonly #msgpack: string
  readonly #checkBytes: number
  readonly #sessions: () => Session[]
  #jsonSockets = 0
  #msgpackSockets = 0
  #streams: Set<Session> | undefined
  /** Slow consumers: they are counted and receive nothing. Undefined when there are none. */
  heldBack: Set<Session> | undefined
  /** The pushes of the current batch; undefined when there is none. */
  #batch: Wire[] | undefined
  /** Bytes published since the last check was due, and the time at which it was, by `performance.now()`. */
  #bytes = 0
  #dueAt = 0
  /**
   * The sessions of a fast topic, and perhaps some that have left. Lists for all topics would be the largest part of
   * the memory of an idle socket.
   */
  #known: Session[] | undefined

  /**
   * `sessions`: returns the sessions of the topic; `checkBytes`: published bytes between two checks for slow consumers.
   */
  constructor(
    app: TemplatedApp,
    name: string,
    { checkBytes, sessions }: { checkBytes: number; sessions: () => Session[] },
  ) {
    this.#app = app
    this.#json = `j${name}`
    this.#msgpack = `m${name}`
    this.#checkBytes = checkBytes
    this.#sessions = sessions
  }

  get sockets(): number {
    return this.#jsonSockets + this.#msgpackSockets + (this.#streams?.size ?? 0) + (this.heldBack?.size ?? 0)
  }

  /** Adds a session, which receives the pushes from now on and no earlier one. */
  add(session: Session): void {
    if (session.behind !== undefined) {
      this.heldBack ??= new Set()
      this.heldBack.add(session)
      return
    }
    if (session.encoding === 'sse' || session.encoding === 'grpc') {
      this.#streams ??= new Set()
      this.#streams.add(session)
      return
    }
    this.#sendBatch()
    if (session.closed) return
    hasJoined = true
    session.ws.subscribe(session.encoding === 'json' ? this.#json : this.#msgpack)
    this.#count(session, 1)
    this.#known?.push(session)
  }

  /** Removes a session, which receives the pushes up to now. */
  remove(session: Session): void {
    if (this.#streams?.delete(session) || this.#removeHeldBack(session)) return
    this.#sendBatch()
    if (!session.closed) session.ws.unsubscribe(session.encoding === 'json' ? this.#json : this.#msgpack)
    this.#count(session, -1)
  }

  /** Holds back the pushes from a session of the topic that has become a slow consumer. */
  holdBack(session: Session): void {
    this.remove(session)
    this.add(session)
  }

  /** Sends pushes to a session again that was held back. */
  release(session: Session): void {
    if (this.#removeHeldBack(session)) this.add(session)
  }

  #removeHeldBack(session: Session): boolean {
    const wasHeldBack = this.heldBack?.delete(session) ?? false
    if (this.heldBack?.size === 0) this.heldBack = undefined
    return wasHeldBack
  }

  /** Publishes a push. Throws when it cannot be encoded for the sessions of the topic. */
  publish(wire: Wire): void {
    // Encoded here: the end of a batch has no caller that could handle the error.
    if (this.#msgpackSockets > 0) void wire.msgpack
    if (this.#streams !== undefined)
      for (const session of this.#streams) push(session, wire.frame(session.encoding))
    if (this.#batch !== undefined) {
      this.#batch.push(wire)
      return
    }
    this.#send(wire)
    const batchMs = Math.min(longestBatchMs, Math.floor(this.sockets / socketsPerBatchMs))
    if (batchMs > 0) this.#startBatch(batchMs)
  }

  #send(wire: Wire): void {
    if (hasJoined) {
      hasJoined = false
      flushAll()
    }
    if (this.#jsonSockets > 0) this.#app.publish(this.#json, wire.json, false)
    if (this.#msgpackSockets > 0) this.#app.publish(this.#msgpack, wire.msgpack, true)
    this.#bytes += wire.json.length
    if (this.#bytes >= this.#checkBytes) this.#check()
  }

  /**
   * Checks the sessions of a fast topic for buffered bytes. The transport does not report which sockets buffered a
   * publish, and checking each socket at each publish would cost too much.
   */
  #check(): void {
    const now = performance.now()
    const isFast = now - this.#dueAt < fastMs
    this.#bytes = 0
    this.#dueAt = now
    if (!isFast) return
    if (this.#known === undefined) {
      this.#known = this.#sessions()
      setTimeout(() => {
        this.#known = undefined
      }, sessionsMs).unref()
    }
    for (const session of this.#known) session.onPressure?.(session)
  }

  #sendBatch(): void {
    const batch = this.#batch
    if (batch === undefined || batch.length === 0) return
    this.#batch = []
    for (const wire of batch) this.#send(wire)
  }

  #startBatch(batchMs: number): void {
    this.#batch = []
    // The transport sends between two turns of the event loop. A batch that began before that would end while sending.
    setImmediate(() => setImmediate(() => setTimeout(() => this.#endBatch(batchMs), batchMs)))
  }

  #endBatch(batchMs: number): void {
    const isBusy = this.#batch !== undefined && this.#batch.length > 0
    this.#sendBatch()
    this.#batch = undefined
    if (isBusy) this.#startBatch(batchMs)
  }

  #count(session: Session, by: number): void {
    if (session.encoding === 'json') this.#jsonSockets += by
    else this.#msgpackSockets += by
  }
}
