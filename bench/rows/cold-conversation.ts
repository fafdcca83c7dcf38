import { v7 } from 'uuid'
import {
  type CommandBus,
  createCommandBus,
  createLogLookup,
  createStates,
  type EventLog,
  type NewEvent,
} from '../../src/commands/index.ts'
import { subjectOf } from '../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  type Nats,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { createdEvent, messageEvent } from '../harness/events.ts'
import { startNats } from '../harness/nats.ts'
import { readLast } from '../limits/last-event.ts'
import type { Row, Sample } from '../row.ts'

const members = 50
const text = 'A message among very many, as long as they are.'
const large = 'large'
/**
 * Conversations that a fresh bus opens before the clock starts, so that no code runs for the first time while
 * measured.
 */
const small = Array.from({ length: 10 }, (_, n) => `small-${n}`)
const repeats = 5
/** The largest batch that the log accepts. */
const batch = 1000

/** Runs `work` with a bus that has cached no conversation. */
const withFreshBus = async <T>(nats: Nats, work: (bus: CommandBus) => Promise<T>): Promise<T> => {
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout)
  const states = createStates({ log, snapshots: new JetStreamSnapshots(nats), feed })
  const bus = createCommandBus({
    log,
    lookup: createLogLookup(log),
    states,
  })
  await feed.start()
  try {
    return await work(bus)
  } finally {
    await bus.drain()
    await feed.stop()
    log.close()
  }
}

const user = (n: number): string => `user-${n % members}`

const post = (bus: CommandBus, c: string, n: number) =>
  bus.execute({ id: '1', t: 'send', c, m: v7(), text }, { from: user(n), at: new Date().toISOString() })

/** Writes a conversation's first events to the log in their normal form. */
const fill = async (log: EventLog, c: string, events: number): Promise<void> => {
  const everybody = Array.from({ length: members }, (_, n) => user(n))
  let next: NewEvent[] = [createdEvent(c, everybody)]
  let expected = 0
  for (let seq = 2; seq <= events + 1; seq++) {
    if (next.length === batch || seq > events) {
      const { position } = await log.append({ family: 'conv', id: c }, expected, next)
      expected = position.streamSeq
      next = []
    }
    next.push(messageEvent(c, seq, seq - 1, user(seq), text))
  }
}

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1)

const median = (samples: number[]): number => samples.sort((a, b) => a - b)[samples.length >> 1]!

export const coldConversationRow: Row = {
  name: 'cold',
  figures: [
    {
      path: 'first command on a cold conversation of 200,000 events',
      unit: 'ms',
      target: { rule: 'more at most', value: 20 },
    },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const server = await startNats()
    defer(server.stop)
    const nats = await server.connect()
    const events = quick ? 20_000 : 200_000
    const startedAt = performance.now()
    const layout = await discoverLog(nats.connection)
    const log = new JetStreamEventLog(nats, layout)
    await fill(log, large, events)
    for (const c of small) await fill(log, c, 300)
    log.close()
    tell(`${events} events took ${seconds(startedAt)} s to write`)
    const readAt = performance.now()
    await withFreshBus(nats, bus => post(bus, large, 1))
    tell(`the first command without a snapshot took ${seconds(readAt)} s`)
    const subject = subjectOf({ family: 'conv', id: large })
    const stream = layout.streamOf({ family: 'conv', id: large })

    const clock = async (work: () => Promise<unknown>): Promise<number> => {
      const from = performance.now()
      await work()
      return performance.now() - from
    }
    const several = async (once: () => Promise<number>): Promise<Sample> => {
      const samples: number[] = []
      for (let n = 0; n < repeats; n++) samples.push(await once())
      return [median(samples)]
    }
    return {
      ours: () =>
        several(() =>
          withFreshBus(nats, async bus => {
            for (const c of small) await post(bus, c, 1)
            return clock(() => post(bus, large, 1))
          }),
        ),
      limit: () => several(() => clock(() => readLast(nats.connection, stream, subject))),
    }
  },
}
