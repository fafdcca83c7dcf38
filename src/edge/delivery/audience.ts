import type { OneOrMany } from '../sessions/one-or-many.ts'
import type { Session } from '../sessions/session.ts'
import type { Topic } from './topic.ts'

/** The local sockets of a conversation. Its sessions hold this rather than the conversation's id, of which each would have a copy of its own. */
export interface Audience {
  readonly c: string
  /** Undefined when the last has gone. */
  sockets: OneOrMany<Session> | Topic | undefined
}
