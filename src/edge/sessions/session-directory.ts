import { Semaphore } from '../../base/semaphore.ts'
import {
  keyOf,
  maxSessionsPerNode,
  type NodeSessions,
  type SessionFacts,
  type SessionQueries,
  type SessionQuery,
} from '../ports/session-queries.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

/** Users that are looked at in one turn of the event loop: some tenths of a millisecond. */
const usersPerTurn = 2_000
/** Queries to all nodes that this node waits for at the same time. */
const concurrentQueries = 32

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Returns the time in a UUIDv7, ms since 1970. */
const timeOfUuid = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

const transports = { json: 'websocket', msgpack: 'websocket', sse: 'event-stream', grpc: 'grpc' } as const

const factsOf = (session: Session): SessionFacts => ({
  session: session.id,
  user: session.user,
  ...(session.device === undefined ? {} : { device: session.device }),
  transport: transports[session.encoding],
  ...(session.address === undefined ? {} : { address: session.address.address }),
  since: timeOfUuid(session.id),
  active: Math.round(Date.now() - (performance.now() - session.activeAt)),
  token: session.identity?.token ?? '',
})

/** The first sessions of a query, in the order by user and session. Keeps no more than a page. */
class Page {
  readonly #limit: number
  readonly #after: string
  #found: { readonly key: string; readonly session: Session }[] = []
  /** Key of the last session of a full page. */
  #last: string | undefined
  matching = 0

  constructor({ limit, after }: SessionQuery) {
    this.#limit = Math.min(limit, maxSessionsPerNode)
    this.#after = after ?? ''
  }

  add(session: Session): void {
    this.matching++
    const key = keyOf({ user: session.user, session: session.id })
    if (key <= this.#after || (this.#last !== undefined && key > this.#last)) return
    this.#found.push({ key, session })
    if (this.#found.length >= 2 * this.#limit) this.#cut()
  }

  /** Sessions that closed during the scan are left out. */
  sessions(): SessionFacts[] {
    this.#cut()
    return this.#found.filter(({ session }) => !session.closed).map(({ session }) => factsOf(session))
  }

  #cut(): void {
    this.#found = this.#found.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, this.#limit)
    this.#last = this.#found[this.#limit - 1]?.key
  }
}

/** Finds sessions at this node and, with `queries`, at all nodes. */
export class SessionDirectory {
  readonly #node: string
  readonly #sessions: SessionRegistry
  readonly #queries: SessionQueries | undefined
  readonly #otherNodes: () => number
  readonly #turns = new Semaphore(concurrentQueries)
  readonly #unlisten: () => void

  /** `otherNodes` returns how many other edge nodes are known to be alive. */
  constructor(
    parts: { node: string; sessions: SessionRegistry; queries: SessionQueries | undefined },
    otherNodes: () => number,
  ) {
    this.#node = parts.node
    this.#sessions = parts.sessions
    this.#queries = parts.queries
    this.#otherNodes = otherNodes
    this.#unlisten = parts.queries?.answer(query => this.here(query)) ?? (() => {})
  }

  /** Returns the sessions of a user at all nodes, at most `maxSessionsPerNode` of each. */
  async of(user: string): Promise<readonly SessionFacts[]> {
    const query = { user, limit: maxSessionsPerNode }
    const queries = this.#queries
    const nodes =
      queries === undefined
        ? [await this.here(query)]
        : await this.#turns.run(() => queries.ask(query, this.#otherNodes() + 1))
    return nodes.flatMap(({ sessions }) => sessions)
  }

  /** Answers a query about this node. A query without a user looks at all sessions, a part in each turn. */
  async here(query: SessionQuery): Promise<NodeSessions> {
    const { user, session: id, issuedBefore = Number.POSITIVE_INFINITY } = query
    const page = new Page(query)
    const look = (session: Session): void => {
      if (session.closed || (id !== undefined && session.id !== id)) return
      if ((session.identity?.issuedAt ?? 0) * 1_000 < issuedBefore) page.add(session)
    }
    if (user !== undefined) for (const session of this.#sessions.of(user)) look(session)
    else if (query.limit > 0) {
      let looked = 0
      for (const one of this.#sessions.users()) {
        for (const session of this.#sessions.of(one)) look(session)
        if (++looked % usersPerTurn === 0) await nextTurn()
      }
    }
    return {
      node: this.#node,
      connected: this.#sessions.size,
      matching: page.matching,
      sessions: page.sessions(),
    }
  }

  stop(): void {
    this.#unlisten()
  }
}
