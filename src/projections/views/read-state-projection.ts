import { noChanges, type Projection } from './projection.ts'

/** A user's marker in a conversation. Key: (c, user, of); the highest marker wins. */
export interface ReadStateChange {
  readonly of: 'read' | 'delivered'
  readonly c: string
  readonly user: string
  readonly mark: number
}

/** Produces the markers of users, for queries of who has read a message. */
export const readStateProjection: Projection<ReadStateChange> = {
  name: 'read-state',
  version: 1,
  apply({ event }) {
    if (event.type === 'read.marked') return [{ of: 'read', c: event.c, user: event.u, mark: event.mark }]
    if (event.type === 'delivered.marked')
      return [{ of: 'delivered', c: event.c, user: event.u, mark: event.mark }]
    return noChanges
  },
}
