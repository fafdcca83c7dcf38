import { noChanges, type Projection } from './projection.ts'

/** How far a user's mark in a conversation has come. Key: (c, user, of); the greatest mark stands. */
export interface ReadStateChange {
  readonly of: 'read' | 'delivered'
  readonly c: string
  readonly user: string
  readonly mark: number
}

/** The marks that users set, for whoever asks who has read what. */
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
