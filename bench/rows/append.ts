import type { EventLog, NewEvent } from '../../src/commands/index.ts'
import { discoverLog, JetStreamEventLog } from '../../src/infra/nats/index.ts'
import { asRaw, messageEvent } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { rawAppend } from '../limits/raw-append.ts'
import type { Row, Sample } from '../row.ts'

const conversations = 512
const text =
  'A message as long as they are in a busy channel: some are shorter, few are longer; about 100 bytes.'

interface Conversation {
  readonly id: string
  readonly events: readonly NewEvent[]
}

/** Creates new conversations and their events before the clock starts. */
const makeConversations = (prefix: string, events: number): Conversation[] =>
  Array.from({ length: conversations }, (_, n) => {
    const id = `${prefix}-${n}`
    return {
      id,
      events: Array.from({ length: events }, (_, seq) => messageEvent(id, seq + 1, seq + 1, 'alice', text)),
    }
  })

/** Appends with one append in flight per conversation. */
const appendAll = async (log: EventLog, all: readonly Conversation[]): Promise<void> => {
  await Promise.all(
    all.map(async ({ id, events }) => {
      let expected = 0
      for (const event of events) {
        const { position } = await log.append({ family: 'conv', id }, expected, [event])
        expected = position.streamSeq
      }
    }),
  )
}

export const appendRow: Row = {
  name: 'append',
  figures: [
    {
      path: `EventLog append, ${conversations} conversations`,
      unit: 'events/s',
      target: { rule: 'ratio at least', value: 0.8 },
    },
  ],
  prepare: async ({ quick, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const [own, raw] = [await nats.connect(), await nats.connect()]
    const log = new JetStreamEventLog(own, await discoverLog(own.connection))
    defer(() => log.close())
    const each = quick ? 40 : 120
    let round = 0
    const rate = async (work: () => Promise<void>): Promise<Sample> => {
      const startedAt = performance.now()
      await work()
      return [(conversations * each * 1000) / (performance.now() - startedAt)]
    }
    return {
      ours: () => {
        const all = makeConversations(`own-${round++}`, each)
        return rate(() => appendAll(log, all))
      },
      limit: () => {
        const all = makeConversations(`raw-${round++}`, each).map(({ id, events }) => asRaw(id, events))
        return rate(() => rawAppend(raw.connection, all))
      },
    }
  },
}
