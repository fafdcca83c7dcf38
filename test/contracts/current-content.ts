import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { ConversationView, EventLog } from '../../src/commands/index.ts'
import { Readable } from '../../src/edge/access/readable.ts'
import { ConversationReader } from '../../src/edge/catch-up/conversation-reader.ts'
import { type AppData, type ConversationEvent, encodeBody, type StoredEvent } from '../../src/events/index.ts'
import { timelineProjection } from '../../src/projections/index.ts'
import { type OpenEmptyViews, second } from './open-views.ts'

interface Step {
  readonly act: 'post' | 'edit' | 'delete' | 'react'
  readonly pick: number
  /** What a post or an edit says of the data of the message: it sets it, removes it, or says nothing. */
  readonly data: 'set' | 'removed' | undefined
  /** Whether the event is as older versions wrote it. */
  readonly isOld: boolean
}

const steps = fc.array(
  fc.record<Step>({
    act: fc.constantFrom('post', 'post', 'edit', 'edit', 'delete', 'react'),
    pick: fc.nat(4),
    data: fc.constantFrom('set', 'removed', undefined, undefined),
    isOld: fc.boolean(),
  }),
  { minLength: 1, maxLength: 30 },
)

interface Message {
  readonly m: string
  readonly seq: number
  text: string | undefined
  /** Data as the message has it; undefined: none. */
  data: AppData | undefined
  /** seq of the last edit that changed the data. */
  dataSeq: number
}

/** A log of one conversation, and its messages as they are at the end. */
const logOf = (c: string, steps: readonly Step[]) => {
  const events: ConversationEvent[] = []
  const messages: Message[] = []
  let amended = 0
  for (const { act, pick, data, isOld } of steps) {
    const seq = events.length + 1
    const common = { t: 'event', c, seq, from: 'ann', at: second(seq) } as const
    const text = `text-${c}-${seq}.`
    const set = data === 'set' ? { order: `data-${c}-${seq}.` } : undefined
    const standing = messages.filter(message => message.text !== undefined)
    const message = standing[pick % Math.max(1, standing.length)]
    if (act === 'post' || message === undefined) {
      const m = `m${messages.length + 1}`
      const attachments = [{ mediaId: text, name: text, type: 'a/b', size: 1, sha256: '0'.repeat(64) }]
      messages.push({ m, seq, text, data: set, dataSeq: 0 })
      const posted = { type: 'message.posted', m, n: messages.length, text, attachments } as const
      events.push({ ...common, ...posted, ...(set && { data: set }) })
      continue
    }
    const { m } = message
    const of = isOld ? {} : { messageSeq: message.seq }
    if (act === 'react') {
      events.push({ ...common, type: 'reaction.added', m, emoji: '👍' })
      continue
    }
    amended = seq
    message.text = act === 'edit' ? text : undefined
    if (act === 'edit') {
      if (data !== undefined) Object.assign(message, { data: set, dataSeq: seq })
      const change = data && { data: set ?? null }
      events.push({ ...common, type: 'message.edited', m, ...of, text, ...change })
    } else events.push({ ...common, type: 'message.deleted', m, ...of })
  }
  const stored = events.map(
    (event): StoredEvent => ({
      stream: 'CONV_0',
      streamSeq: event.seq * 10,
      aggregate: { family: 'conv', id: c },
      envelope: {
        ...{ type: event.type, version: 1, seq: event.seq, n: 0, actor: 'ann' },
        ...{ commandId: `x${event.seq}`, epoch: 1 },
      },
      data: encodeBody(event),
    }),
  )
  return { events, stored, messages, amended }
}

/**
 * The contract of a timeline and the reader: for any history, however far the timeline is, and whatever it repeats.
 */
export const testCurrentContent = (t: Test, open: OpenEmptyViews, numRuns: number): void => {
  t.test('a read has the current texts and data, and none that were deleted or replaced', async t => {
    const { stores, views } = await open(t)
    let runs = 0
    const check = async (
      steps: readonly Step[],
      { held, batch, from, limit }: { held: number; batch: number; from: number; limit: number },
    ) => {
      const c = `c${++runs}`
      const { events, stored, messages, amended } = logOf(c, steps)
      const projected = stored.slice(0, held)
      const changes = projected.flatMap((one, i) =>
        timelineProjection.apply({ stored: one, event: events[i]! }),
      )
      for (let i = 0; i < changes.length; i += batch) await stores.timeline.apply(changes.slice(i, i + batch))
      // A worker that did not save its checkpoint.
      if (batch % 2 === 1) await stores.timeline.apply(changes.slice(-batch))
      const log = {
        async *read(_: unknown, after: number) {
          yield stored.filter(({ streamSeq }) => streamSeq > after)
        },
        last: async () => stored.at(-1),
      } as unknown as EventLog
      const reader = new ConversationReader(views.timeline, log, 1_000)
      const head = stored.length
      const view = { c, head, amended, stream: 'CONV_0', streamSeq: head * 10 } as ConversationView
      const whole = Readable.whole(view)
      const pages = [
        await reader.page(whole, { after: 0, limit: 100 }),
        await reader.page(whole, { after: from, limit }),
        await reader.page(whole, { before: from + 1, limit }),
        await reader.pageAfterPosition(whole, from * 10, limit),
      ]
      for (const entry of pages.flat()) {
        const event = JSON.parse(Buffer.from(entry.data).toString()) as ConversationEvent
        const before = events[entry.seq - 1]!
        if (event.type !== before.type || event.seq !== before.seq)
          throw new Error(`${entry.seq} is another event`)
        if (event.type !== 'message.posted' && event.type !== 'message.edited') {
          if (JSON.stringify(event) !== JSON.stringify(before)) throw new Error(`${entry.seq} has changed`)
          continue
        }
        const { text, data, dataSeq } = messages.find(({ m }) => m === event.m)!
        if (event.text !== (text ?? '') || event.deleted !== (text === undefined ? true : undefined))
          throw new Error(`${event.seq} has ${event.text}, not ${text}`)
        const found = JSON.stringify(event).match(/text-[^"]*?\./g) ?? []
        const own = event.type === 'message.posted' && text !== undefined ? `text-${c}-${event.seq}.` : text
        if (found.some(one => one !== text && one !== own)) throw new Error(`${event.seq} has ${found}`)
        // An edit after the last change of the data says nothing of it; all before say what it is now.
        const change = event.seq <= dataSeq ? (data ?? null) : undefined
        const shown = event.type === 'message.posted' ? data : change
        if (!isDeepStrictEqual(event.data, text === undefined ? undefined : shown))
          throw new Error(`${event.seq} has ${JSON.stringify(event.data)}, not ${JSON.stringify(shown)}`)
      }
      for (const { seq, text } of messages) {
        const isReadable = await reader.hasMedia(whole, `text-${c}-${seq}.`)
        if (isReadable !== (text !== undefined)) throw new Error(`the file of ${seq}: ${isReadable}`)
        if ((await reader.textAt(whole, seq)) !== text) throw new Error(`the text at ${seq}`)
      }
    }
    const range = fc.record({
      ...{ held: fc.nat(30), batch: fc.integer({ min: 1, max: 7 }) },
      ...{ from: fc.nat(30), limit: fc.integer({ min: 1, max: 12 }) },
    })
    await t.resolves(fc.assert(fc.asyncProperty(steps, range, check), { numRuns }))
  })
}
