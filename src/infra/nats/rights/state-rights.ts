import type { Nats } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { projectionStatusSubject } from '../coordination/projection-coordination.ts'
import { sessionsSubject } from '../coordination/session-queries.ts'
import { ownRights } from './own-rights.ts'

/** The parts of the state of a system that a process may read. A refused request would be logged as a fault. */
export interface StateRights {
  readonly sessions: boolean
  readonly projections: boolean
  readonly auditRecords: boolean
  /** Whether the growth of a stream may be measured. */
  measureGrowth(stream: string): boolean
}

/** Resolves with the parts that the user of a connection may read. Never rejects. */
export const mayReadState = async (nats: Nats): Promise<StateRights> => {
  const { mayPublish } = await ownRights(nats)
  return {
    sessions: mayPublish(sessionsSubject),
    projections: mayPublish(projectionStatusSubject),
    auditRecords: mayPublish(apiSubject('DIRECT.GET', 'AUDIT')),
    measureGrowth: stream => mayPublish(apiSubject('DIRECT.GET', stream)),
  }
}
