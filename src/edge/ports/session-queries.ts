/** Selects sessions: those that all given fields match. */
export interface SessionQuery {
  readonly user?: string
  readonly session?: string
  /** Only sessions whose token was issued before this time, ms since 1970. */
  readonly issuedBefore?: number
  /** Only sessions after this one, in the order by user and session: `keyOf` a session. */
  readonly after?: string
  /** Maximum number of sessions in the answer of a node, the first ones. 0: figures of the node only. */
  readonly limit: number
}

/** A session as other nodes and operators see it. Times are ms since 1970. */
export interface SessionFacts {
  readonly session: string
  readonly user: string
  readonly device?: string
  readonly transport: 'websocket' | 'event-stream' | 'grpc'
  /** Client address; of IPv6, the /64 network. Absent when addresses are not limited. */
  readonly address?: string
  readonly since: number
  readonly active: number
  /** `Identity.token`. */
  readonly token: string
}

/** The answer of one node. */
export interface NodeSessions {
  readonly node: string
  /** Sessions of the node, whatever the query. */
  readonly connected: number
  /** Events delivered to sockets a second. Absent from nodes of earlier versions. */
  readonly rate?: number
  /** Sessions that match the query, without `after` and `limit`; 0 when the limit is 0. */
  readonly matching: number
  /** Sorted by user and session. */
  readonly sessions: readonly SessionFacts[]
}

/** Most sessions in the answer of a node. */
export const maxSessionsPerNode = 1_000

/** The place of a session in the order of sessions. A comma sorts before the characters of user ids. */
export const keyOf = ({ user, session }: Pick<SessionFacts, 'user' | 'session'>): string =>
  `${user},${session}`

/** Port: asks all edge nodes about their sessions. src/infra/nats implements it. */
export interface SessionQueries {
  /** Answers the queries of other processes, until the returned function is called. */
  answer(handle: (query: SessionQuery) => Promise<NodeSessions>): () => void
  /**
   * Asks all nodes, this one included. Ends soon after `nodes` of them have answered, or after a silence; 0: their
   * number is not known.
   */
  ask(query: SessionQuery, nodes: number): Promise<readonly NodeSessions[]>
}
