import type { TemplatedApp } from 'uWebSockets.js'
import { countOf, type OneOrMany, toArray, withItem, withoutItem } from '../sessions/one-or-many.ts'
import { isSlow, push } from '../sessions/outbox.ts'
import type { Session, SessionAudience } from '../sessions/session.ts'
import { Topic } from './topic.ts'
import type { Wire } from './wire.ts'

/** The local sessions of a conversation. Sessions hold a reference: an id per session would be a copy each. */
interface Audience extends SessionAudience {
  /** Undefined after the last session has left. */
  sockets: OneOrMany<Session> | Topic | undefined
}

/** Only FanOut assigns the audiences of a session, so all of them are of this type. */
const audiencesOf = (session: Session): readonly Audience[] => session.audiences as readonly Audience[]

/** The part of a stored event that is read only when a slow consumer misses the event. */
interface Stored {
  readonly envelope: { readonly seq: number }
}

/**
 * Sends the live events of conversations to local sessions. A conversation with few of them keeps an array and sends to
 * one after another. That takes far less memory than a topic: most conversations have two members, and a session is in
 * tens of them. From `topicFrom` sessions on, the conversation uses a topic of the transport, which sends to a million
 * sockets a second. It keeps the topic until its last session has left.
 */
export class FanOut {
  readonly #app: TemplatedApp
  readonly #sessions: Iterable<Session>
  readonly #topicFrom: number
  readonly #checkBytes: number
  readonly #audiences = new Map<string, Audience>()
  #topics = 0
  #watcher: (c: string, isSubscribed: boolean) => void = () => {}

  /**
   * `sessions`: all sessions of this node; `checkBytes`: bytes published to a topic between two checks for slow
   * consumers.
   */
  constructor(
    app: TemplatedApp,
    sessions: Iterable<Session>,
    { topicFrom, checkBytes }: { topicFrom: number; checkBytes: number },
  ) {
    this.#app = app
    this.#sessions = sessions
    this.#topicFrom = topicFrom
    this.#checkBytes = checkBytes
  }

  subscribe(session: Session, c: string): void {
    if (session.closed) return
    const audience = this.#audienceOf(c)
    if (audiencesOf(session).includes(audience)) return
    session.audiences = session.audiences.concat([audience])
    this.#join(session, audience)
  }

  /** Subscribes a session that has no subscription yet. */
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

  /** Unsubscribes a session from many conversations in one pass over its subscriptions. */
  unsubscribeAll(session: Session, conversations: Iterable<string>): void {
    const leaving = new Set<Audience>()
    for (const c of conversations) {
      const audience = this.#audiences.get(c)
      if (audience !== undefined) leaving.add(audience)
    }
    const audiences = audiencesOf(session)
    const left = audiences.filter(audience => leaving.has(audience))
    if (left.length === 0) return
    session.audiences = audiences.filter(audience => !leaving.has(audience))
    for (const audience of left) this.#leave(session, audience)
  }

  /** Holds back all events and signals from a slow consumer. Of the events that it misses, only cursors are kept. */
  hold(session: Session): void {
    session.behind = new Map()
    for (const { sockets } of audiencesOf(session)) if (sockets instanceof Topic) sockets.holdBack(session)
  }

  /**
   * Sends live events to a session again. Returns the cursors of the conversations whose events it missed. The session
   * is not subscribed to these.
   */
  release(session: Session): ReadonlyMap<string, number> {
    const missed = session.behind ?? new Map<string, number>()
    session.behind = undefined
    for (const { sockets } of audiencesOf(session)) if (sockets instanceof Topic) sockets.release(session)
    return missed
  }

  /** Unsubscribes a session whose transport has closed. */
  forget(session: Session): void {
    const audiences = audiencesOf(session)
    session.audiences = []
    for (const audience of audiences) this.#leave(session, audience)
  }

  /** The conversations that have a subscribed local session. */
  conversations(): Iterable<string> {
    return this.#audiences.keys()
  }

  /** Calls `watcher` when a conversation gets its first subscribed session, and when it has lost its last one. */
  watch(watcher: (c: string, isSubscribed: boolean) => void): void {
    this.#watcher = watcher
  }

  /** Whether any conversation has a subscribed session. */
  get hasAny(): boolean {
    return this.#audiences.size > 0
  }

  /** The number of subscribed local sessions of a conversation. */
  audience(c: string): number {
    const sockets = this.#audiences.get(c)?.sockets
    return sockets instanceof Topic ? sockets.sockets : countOf(sockets)
  }

  /**
   * Sends a push to every subscribed session of a conversation, except slow consumers. Returns the number of subscribed
   * sessions. `event`: the stored event that the push carries; undefined for a signal, which may be dropped.
   */
  publish(c: string, wire: Wire, event?: Stored): number {
    const sockets = this.#audiences.get(c)?.sockets
    if (sockets instanceof Topic) {
      const count = sockets.sockets
      if (event !== undefined && sockets.heldBack !== undefined)
        for (const session of [...sockets.heldBack]) this.#missed(session, c, event)
      sockets.publish(wire)
      return count
    }
    const sessions = toArray(sockets)
    for (const session of sessions)
      if (event !== undefined && session.behind !== undefined) this.#missed(session, c, event)
      else if (event !== undefined || !isSlow(session)) push(session, wire.frame(session.encoding))
    return sessions.length
  }

  /** Keeps the cursor before the first missed event, and unsubscribes the session: later events need no call. */
  #missed(session: Session, c: string, event: Stored): void {
    if (!session.behind?.has(c)) session.behind?.set(c, event.envelope.seq - 1)
    this.unsubscribe(session, c)
  }

  /** Returns the audience of a conversation, a new one if there is none. The caller adds a session to it. */
  #audienceOf(c: string): Audience {
    let audience = this.#audiences.get(c)
    if (audience === undefined) {
      audience = { c, sockets: undefined }
      this.#audiences.set(c, audience)
      this.#watcher(c, true)
    }
    return audience
  }

  /** Searches all sessions of the node. */
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
      checkBytes: this.#checkBytes,
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
