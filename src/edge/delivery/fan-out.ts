import type { TemplatedApp } from 'uWebSockets.js'
import { countOf, type OneOrMany, toArray, withItem, withoutItem } from '../sessions/one-or-many.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session, SessionAudience } from '../sessions/session.ts'
import { Topic } from './topic.ts'
import type { Wire } from './wire.ts'

/** The local sockets of a conversation. Sessions refer to it by reference: an id per session would be a copy each. */
interface Audience extends SessionAudience {
  /** Undefined after the last socket left. */
  sockets: OneOrMany<Session> | Topic | undefined
}

/** Only the fan-out assigns a session's audiences, so they are always its own. */
const audiencesOf = (session: Session): readonly Audience[] => session.audiences as readonly Audience[]

/** Of an event as it is stored; read only when somebody misses it. */
interface Stored {
  readonly envelope: { readonly seq: number }
}

/**
 * Which local sockets get the live events of a conversation. A few are kept in an array and sent to one by one, which takes far less memory than a topic (most
 * conversations are of two, and a socket is in tens of them); from `topicFrom` on they share a topic of the transport, which sends to a million a second. A
 * topic stays one until its last socket has gone.
 */
export class FanOut {
  readonly #app: TemplatedApp
  readonly #sessions: Iterable<Session>
  readonly #topicFrom: number
  readonly #lookBytes: number
  readonly #audiences = new Map<string, Audience>()
  #topics = 0
  #watcher: (c: string, isHere: boolean) => void = () => {}

  /** `sessions`: all of this node; `lookBytes`: published to a topic, after which its sockets are asked whether they take it. */
  constructor(
    app: TemplatedApp,
    sessions: Iterable<Session>,
    { topicFrom, lookBytes }: { topicFrom: number; lookBytes: number },
  ) {
    this.#app = app
    this.#sessions = sessions
    this.#topicFrom = topicFrom
    this.#lookBytes = lookBytes
  }

  subscribe(session: Session, c: string): void {
    if (session.closed) return
    const audience = this.#audienceOf(c)
    if (audiencesOf(session).includes(audience)) return
    session.audiences = session.audiences.concat([audience])
    this.#join(session, audience)
  }

  /** As `subscribe` of each, for a session that has none yet. */
  subscribeAll(session: Session, conversations: readonly string[]): void {
    const audiences = conversations.map(c => this.#audienceOf(c))
    session.audiences = audiences
    for (const audience of audiences) this.#join(session, audience)
  }

  unsubscribe(session: Session, c: string): void {
    const audience = this.#audiences.get(c)
    if (audience === undefined || !audiencesOf(session).includes(audience)) return
    session.audiences = session.audiences.filter(other => other !== audience)
    this.#leave(session, audience)
  }

  /** From now on it gets nothing; what it misses is remembered as cursors. */
  hold(session: Session): void {
    session.behind = new Map()
    for (const { sockets } of audiencesOf(session)) if (sockets instanceof Topic) sockets.hold(session)
  }

  /** From now on it gets what is live again, but of the conversations that are returned: the cursors of what it has missed. */
  release(session: Session): ReadonlyMap<string, number> {
    const missed = session.behind ?? new Map<string, number>()
    session.behind = undefined
    for (const { sockets } of audiencesOf(session)) if (sockets instanceof Topic) sockets.release(session)
    return missed
  }

  /** When its socket has closed. */
  forget(session: Session): void {
    const audiences = audiencesOf(session)
    session.audiences = []
    for (const audience of audiences) this.#leave(session, audience)
  }

  /** The conversations of which some local socket gets what is live. */
  conversations(): Iterable<string> {
    return this.#audiences.keys()
  }

  /** Is told when a conversation comes to be one of those, and when it is so no more. */
  watch(watcher: (c: string, isHere: boolean) => void): void {
    this.#watcher = watcher
  }

  /** Whether any local socket gets anything. */
  get hasAny(): boolean {
    return this.#audiences.size > 0
  }

  /** How many local sockets get what is published to it. */
  audience(c: string): number {
    const sockets = this.#audiences.get(c)?.sockets
    return sockets instanceof Topic ? sockets.sockets : countOf(sockets)
  }

  /** Sends to every local socket of a conversation, but those that are behind; to how many it is for. `event`: what it is the wire of; none for a signal, which may be lost. */
  publish(c: string, wire: Wire, event?: Stored): number {
    const sockets = this.#audiences.get(c)?.sockets
    if (sockets instanceof Topic) {
      const count = sockets.sockets
      if (event !== undefined && sockets.held !== undefined)
        for (const session of [...sockets.held]) this.#missed(session, c, event)
      sockets.publish(wire)
      return count
    }
    const sessions = toArray(sockets)
    for (const session of sessions)
      if (event !== undefined && session.behind !== undefined) this.#missed(session, c, event)
      else if (event !== undefined || !isSlow(session)) push(session, wire.frame(session.encoding))
    return sessions.length
  }

  /** The first event of a conversation that a session does not get: it need not be told of the others. */
  #missed(session: Session, c: string, event: Stored): void {
    if (!session.behind?.has(c)) session.behind?.set(c, event.envelope.seq - 1)
    this.unsubscribe(session, c)
  }

  /** One that is not there yet is made; whoever asks joins it. */
  #audienceOf(c: string): Audience {
    let audience = this.#audiences.get(c)
    if (audience === undefined) {
      audience = { c, sockets: undefined }
      this.#audiences.set(c, audience)
      this.#watcher(c, true)
    }
    return audience
  }

  /** Goes through all sessions of the node. */
  #sessionsOf(audience: Audience): Session[] {
    const found: Session[] = []
    for (const session of this.#sessions) if (audiencesOf(session).includes(audience)) found.push(session)
    return found
  }

  #join(session: Session, audience: Audience): void {
    if (audience.sockets instanceof Topic) {
      audience.sockets.add(session)
      return
    }
    const sessions = withItem(audience.sockets, session)
    if (countOf(sessions) < this.#topicFrom) {
      audience.sockets = sessions
      return
    }
    const topic = new Topic(this.#app, (this.#topics++).toString(36), {
      lookBytes: this.#lookBytes,
      sessions: () => this.#sessionsOf(audience),
    })
    for (const each of toArray(sessions)) topic.add(each)
    audience.sockets = topic
  }

  #leave(session: Session, audience: Audience): void {
    const { sockets } = audience
    if (sockets === undefined) return
    if (sockets instanceof Topic) {
      sockets.remove(session)
      if (sockets.sockets > 0) return
      audience.sockets = undefined
    } else audience.sockets = withoutItem(sockets, session)
    if (audience.sockets !== undefined) return
    this.#audiences.delete(audience.c)
    this.#watcher(audience.c, false)
  }
}
