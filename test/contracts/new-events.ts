import { randomUUID } from 'node:crypto'
import type { NewEvent } from '../../src/commands/index.ts'
import type { AggregateRef, Envelope } from '../../src/events/index.ts'

export const conversation = (id: string = randomUUID()): AggregateRef => ({ family: 'conv', id })
export const user = (id: string = randomUUID()): AggregateRef => ({ family: 'user', id })

/** An event that contains its seq, with a command id of its own. */
export const newEvent = (seq: number, more: Partial<Envelope> = {}): NewEvent => ({
  envelope: {
    type: 'message.posted',
    version: 1,
    seq,
    n: seq,
    actor: 'alice',
    commandId: randomUUID(),
    epoch: 1,
    ...more,
  },
  data: new TextEncoder().encode(JSON.stringify({ t: 'event', seq, text: `message ${seq}, ünïcödé ☃` })),
})

/** The `seq`th marker that a user sets, as the decider writes it. */
export const newMarker = (user: string, seq: number, c: string, type = 'read.marked'): NewEvent => {
  const at = new Date(1_790_000_000_000 + seq).toISOString()
  return {
    ...newEvent(seq, { type, n: 0, actor: user }),
    data: Buffer.from(JSON.stringify({ u: user, seq, type, at, c, mark: seq })),
  }
}

/** `count` events starting at seq `first`. */
export const newEvents = (first: number, count: number): NewEvent[] =>
  Array.from({ length: count }, (_, index) => newEvent(first + index))
