import fc from 'fast-check'
import { encodeBody, type StoredEvent } from '../../../src/events/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'

/** Returns a history of about 1,000 events, deterministic per seed; its messages are `padding` characters longer. */
export const longHistory = (seed: number, padding = 0): Record<string, StoredEvent[]> => {
  const streams = historyOf(fc.sample(stepsOf(1200, 1200), { numRuns: 1, seed })[0] ?? [])
  if (padding === 0) return streams
  const padded = (stored: StoredEvent): StoredEvent => {
    if (stored.envelope.type !== 'message.posted') return stored
    const event = JSON.parse(Buffer.from(stored.data).toString())
    return { ...stored, data: encodeBody({ ...event, text: `${event.text} ${'x'.repeat(padding)}` }) }
  }
  return Object.fromEntries(Object.entries(streams).map(([stream, events]) => [stream, events.map(padded)]))
}
