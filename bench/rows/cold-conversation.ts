import { v7 } from 'uuid'
import { type CommandBus, createCommandBus, createLogLookup } from '../../src/commands/index.ts'
import { subjectOf } from '../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  type Nats,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { startNats } from '../harness/nats.ts'
import { readLast } from '../limits/last-event.ts'
import type { Row, Sample } from '../row.ts'

const members = 50
const large = 'large'
/** Conversations that a fresh bus opens before the clock starts, so that no code runs for the first time in it. */
const small = Array.from({ length: 10 }, (_, n) => `small-${n}`)
const repeats = 5

/** A bus that has not heard of any conversation. */
const withFreshBus = async <T>(nats: Nats, work: (bus: CommandBus) => Promise<T>): Promise<T> => {
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout)
  const bus = createCommandBus({
    log,
    snapshots: new JetStreamSnapshots(nats),
    lookup: createLogLookup(log),
    feed,
    epoch: 1,
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
  bus.execute(
    { id: '1', t: 'send', c, m: v7(), text: 'A message among very many, as long as they are.' },
    { from: user(n), at: new Date().toISOString() },
  )

/** Creates a conversation and posts to it until it has `events`. */
const fill = async (bus: CommandBus, c: string, events: number): Promise<void> => {
  const everybody = Array.from({ length: members }, (_, n) => user(n))
  await bus.execute(
    { id: '1', t: 'create', c, kind: 'group', members: everybody },
    { from: user(0), at: new Date().toISOString() },
  )
  for (let seq = 1; seq < events; ) {
    const wave = Math.min(500, events - seq)
    await Promise.all(Array.from({ length: wave }, (_, n) => post(bus, c, seq + n)))
    seq += wave
  }
}

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
  prepare: async ({ quick, tell }) => {
    const server = await startNats()
    const nats = await server.connect()
    const events = quick ? 20_000 : 200_000
    const startedAt = performance.now()
    await withFreshBus(nats, async bus => {
      await fill(bus, large, events)
      for (const c of small) await fill(bus, c, 300)
    })
    tell(
      `${events} commands on one conversation took ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
    )
    const subject = subjectOf({ family: 'conv', id: large })
    const stream = (await discoverLog(nats.connection)).streamOf({ family: 'conv', id: large })

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
      close: () => server.stop(),
    }
  },
}
