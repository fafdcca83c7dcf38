import type { TemplatedApp } from 'uWebSockets.js'
import { countOf, type OneOrMany, toArray, withItem, withoutItem } from './one-or-many.ts'
import { push } from './outbox.ts'
import type { Session } from './session.ts'
import { Topic } from './topic.ts'
import type { Wire } from './wire.ts'

/**
 * Which local sockets get the live events of a conversation. A few are kept in an array and sent to one by one, which costs a tenth of the memory of a topic
 * (most conversations are of two, and a socket is in tens of them); from `topicFrom` on they share a topic of the transport, which sends to a million a second.
 * A topic stays one until its last socket has gone.
 */
export class FanOut {
  readonly #app: TemplatedApp
  readonly #topicFrom: number
  readonly #audiences = new Map<string, OneOrMany<Session> | Topic>()
  #topics = 0

  constructor(app: TemplatedApp, topicFrom: number) {
    this.#app = app
    this.#topicFrom = topicFrom
  }

  subscribe(session: Session, c: string): void {
    if (session.closed || session.conversations.includes(c)) return
    session.conversations = session.conversations.concat([c])
    this.#join(session, c)
  }

  /** As `subscribe` of each, for a session that has none yet. */
  subscribeAll(session: Session, conversations: readonly string[]): void {
    session.conversations = conversations
    for (const c of conversations) this.#join(session, c)
  }

  unsubscribe(session: Session, c: string): void {
    if (!session.conversations.includes(c)) return
    session.conversations = session.conversations.filter(other => other !== c)
    this.#leave(session, c)
  }

  /** When its socket has closed. */
  forget(session: Session): void {
    for (const c of session.conversations) this.#leave(session, c)
    session.conversations = []
  }

  /** Whether any local socket gets anything. */
  get hasAny(): boolean {
    return this.#audiences.size > 0
  }

  /** How many local sockets get what is published to it. */
  audience(c: string): number {
    const audience = this.#audiences.get(c)
    return audience instanceof Topic ? audience.sockets : countOf(audience)
  }

  /** Sends to every local socket of a conversation; to how many. */
  publish(c: string, wire: Wire): number {
    const audience = this.#audiences.get(c)
    if (audience === undefined) return 0
    if (!(audience instanceof Topic)) {
      const sessions = toArray(audience)
      for (const session of sessions) push(session, wire.frame(session.encoding))
      return sessions.length
    }
    audience.publish(wire)
    return audience.sockets
  }

  #join(session: Session, c: string): void {
    const before = this.#audiences.get(c)
    if (before instanceof Topic) {
      before.add(session)
      return
    }
    const sessions = withItem(before, session)
    if (countOf(sessions) < this.#topicFrom) {
      this.#audiences.set(c, sessions)
      return
    }
    const topic = new Topic(this.#app, (this.#topics++).toString(36))
    for (const each of toArray(sessions)) topic.add(each)
    this.#audiences.set(c, topic)
  }

  #leave(session: Session, c: string): void {
    const before = this.#audiences.get(c)
    if (before === undefined) return
    if (before instanceof Topic) {
      before.remove(session)
      if (before.sockets === 0) this.#audiences.delete(c)
      return
    }
    const rest = withoutItem(before, session)
    if (rest === undefined) this.#audiences.delete(c)
    else this.#audiences.set(c, rest)
  }
}
