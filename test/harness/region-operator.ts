import type { Test } from 'tap'
import { Header } from '../../src/events/index.ts'
import { connectNats, type Nats } from '../../src/infra/nats/client/connection.ts'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { HomeChange } from '../../src/infra/nats/regions/change-home.ts'
import { readLostEvents } from '../../src/infra/nats/regions/lost-events.ts'
import type { OpenRegion } from '../../src/infra/nats/regions/open-region.ts'
import { newestPromises, readPromises } from '../../src/infra/nats/regions/promises.ts'
import {
  type NewOperation,
  RegionJournal,
  type RegionOperation,
  type RegionStep,
} from '../../src/infra/nats/regions/region-journal.ts'
import { rejoinRegion } from '../../src/infra/nats/regions/rejoin-region.ts'
import { definitions, type TestRegions } from './nats-regions.ts'
import type { NaiveClient } from './region-writer.ts'

export const logStreams = ['CONV_0', 'USER_0']

export interface OperatorOptions {
  /** Regions that the operator reaches. Default: all. */
  readonly regions?: readonly string[]
  /** Addresses of regions; default their servers. */
  readonly urls?: Readonly<Record<string, string>>
  readonly fenced?: readonly string[]
}

export interface RunOptions {
  readonly signal?: AbortSignal
  readonly onStep?: (step: RegionStep) => void
}

/** The process of an operator, with connections and a journal of its own. */
export class Operator {
  readonly open: readonly OpenRegion[]
  readonly journal: RegionJournal
  readonly #servers: TestRegions
  readonly #fenced: readonly string[]

  private constructor(
    servers: TestRegions,
    open: readonly OpenRegion[],
    journal: RegionJournal,
    fenced: readonly string[],
  ) {
    this.#servers = servers
    this.open = open
    this.journal = journal
    this.#fenced = fenced
  }

  static async start(
    servers: TestRegions,
    { regions, urls = {}, fenced = [] }: OperatorOptions = {},
  ): Promise<Operator> {
    const all = servers.topology.regions.filter(({ name }) => regions?.includes(name) !== false)
    const open = await Promise.all(
      all.map(async region => ({
        region,
        nats: await connectNats({
          servers: urls[region.name] ?? servers.region(region.name).url,
          name: 'operator',
        }),
      })),
    )
    try {
      const journal = await RegionJournal.open(open, servers.topology.regions.length, fenced)
      return new Operator(servers, open, journal, fenced)
    } catch (error) {
      await Promise.all(open.map(({ nats }) => nats.close()))
      throw error
    }
  }

  async begin(operation: Pick<NewOperation, 'kind' | 'to'> & Partial<NewOperation>): Promise<void> {
    const fenced = this.#fenced.length === 0 ? {} : { fenced: this.#fenced }
    await this.journal.begin({ streams: logStreams, homeLast: {}, ...fenced, ...operation })
  }

  /** Takes over the unfinished operation. */
  async resume(): Promise<void> {
    const { operation } = this.journal
    if (operation === undefined || operation.isDone) throw new Error('no operation is unfinished')
    await this.journal.resume(operation)
  }

  async run(options: RunOptions = {}): Promise<RegionOperation> {
    const { topology } = this.#servers
    const all = { topology, definitions, open: this.open, journal: this.journal, ...options }
    if (this.journal.current.kind === 'rejoin') return await rejoinRegion(all)
    return await (await HomeChange.open(all)).run()
  }

  /** Ends as a killed process: nothing is tidied up. */
  async kill(): Promise<void> {
    await Promise.all(this.open.map(({ nats }) => nats.connection.close()))
    await this.journal.close()
  }

  async stop(): Promise<void> {
    await this.journal.close()
    await Promise.all(this.open.map(({ nats }) => nats.close()))
  }
}

/** Runs a change of homes to its end by a process of its own. */
export const changeHomes = async (
  servers: TestRegions,
  operation: Pick<NewOperation, 'kind' | 'to'> & Partial<NewOperation>,
  options: OperatorOptions & RunOptions = {},
): Promise<RegionOperation> => {
  const operator = await Operator.start(servers, options)
  try {
    await operator.begin(operation)
    return await operator.run(options)
  } finally {
    await operator.stop()
  }
}

/** Finishes an operation that another process has begun. */
export const resumeHomes = async (
  servers: TestRegions,
  options: OperatorOptions & RunOptions = {},
): Promise<RegionOperation> => {
  const operator = await Operator.start(servers, options)
  try {
    if (await operator.journal.isRunning()) throw new Error('the operation is running')
    await operator.resume()
    return await operator.run(options)
  } finally {
    await operator.stop()
  }
}

/** Returns the home of a stream by the promises of the regions. */
export const homeIn = async (open: readonly OpenRegion[], stream: string): Promise<string | undefined> =>
  newestPromises(await readPromises(open)).streams[stream]?.home

/** Returns the events of a stream, as the id of the aggregate and of the command, in order. */
export const eventsIn = async (nats: Nats, stream: string): Promise<string[]> => {
  const manager = await openManager(nats.connection)
  const { state } = await manager.streams.info(stream)
  const events: string[] = []
  for (let seq = 1; seq <= state.last_seq; ) {
    const from = seq
    for await (const message of await manager.direct.getBatch(stream, { seq, batch: 500 })) {
      if (message.seq < seq) continue
      seq = message.seq + 1
      const id = message.header.get(Header.commandId)
      if (id !== '') events.push(`${message.subject.split('.').at(-1)} ${id}`)
    }
    if (seq === from) break
  }
  return events
}

/** Returns the events that the regions have saved as lost, as `eventsIn`. */
const lostIn = async (open: readonly OpenRegion[]): Promise<string[]> => {
  const lost: string[] = []
  for (const { nats, region } of open) {
    if (region.isWitness) continue
    const manager = await openManager(nats.connection)
    for await (const { subject, commandId } of readLostEvents({ manager }, {}))
      lost.push(`${subject.split('.').at(-1)} ${commandId}`)
  }
  return lost
}

/**
 * Checks what holds after all changes of homes: each acked event is in the home, or saved as lost; none is twice; the
 * acks of an epoch are before those of the next one; the other region has the same events in the same order.
 */
export const checkRegions = async (
  t: Test,
  servers: TestRegions,
  open: readonly OpenRegion[],
  clients: readonly NaiveClient[],
  what: string,
): Promise<void> => {
  // The clients may continue meanwhile.
  const acked = clients.flatMap(client => client.acked)
  const home = await homeIn(open, 'CONV_0')
  const copies = open.filter(({ region }) => !region.isWitness)
  const own = copies.find(({ region }) => region.name === home)
  if (own === undefined) throw new Error('no home')
  const events = await eventsIn(own.nats, 'CONV_0')
  t.equal(new Set(events).size, events.length, `${what}: no event is twice`)
  const known = new Set([...events, ...(await lostIn(open))])
  t.same(
    acked.filter(({ id, commandId }) => !known.has(`${id} ${commandId}`)),
    [],
    `${what}: each acked event is in the home, or listed as lost`,
  )
  const byEpoch = Map.groupBy(acked, ({ epoch }) => epoch)
  const epochs = [...byEpoch.keys()].sort((one, other) => one - other)
  for (const [index, epoch] of epochs.slice(1).entries()) {
    const before = byEpoch.get(epochs[index] as number) ?? []
    const last = Math.max(...before.map(({ at }) => at))
    const first = Math.min(...(byEpoch.get(epoch) ?? []).map(({ at }) => at))
    t.ok(last < first, `${what}: no ack of epoch ${epochs[index]} after the first of epoch ${epoch}`)
  }
  for (const { region, nats } of copies) {
    if (region.name === home) continue
    let copy: string[] = []
    // The mirror may be behind for a while.
    for (const until = performance.now() + 60_000; performance.now() < until; ) {
      copy = await eventsIn(nats, 'CONV_0')
      if (copy.length >= events.length) break
      await new Promise(done => setTimeout(done, 100))
    }
    t.same(
      copy.slice(0, events.length),
      events,
      `${what}: ${region.name} has the same events in the same order`,
    )
  }
  t.equal(servers.topology.regions.length, open.length)
}

/** How an operator's process ends before its operation does. */
export interface Interruption {
  /** `abort`: as with Ctrl-C. `kill`: without a word. */
  readonly how: 'abort' | 'kill'
  readonly step: RegionStep
  /** Time from the start of the step, ms. */
  readonly afterMs: number
}

/** Begins a change of homes by a process that ends at some time. Resolves when it has ended. */
export const interruptedHomes = async (
  servers: TestRegions,
  operation: Pick<NewOperation, 'kind' | 'to'>,
  { how, step, afterMs }: Interruption,
): Promise<void> => {
  const operator = await Operator.start(servers)
  const controller = new AbortController()
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  const end = (): void => {
    if (how === 'abort') controller.abort(new Error('interrupted'))
    else void operator.kill().then(resolve)
  }
  await operator.begin(operation)
  const run = operator.run({
    signal: controller.signal,
    onStep: now => {
      if (now !== step) return
      if (afterMs === 0) end()
      else setTimeout(end, afterMs)
    },
  })
  // Later requests of a killed process reach no region.
  if (how === 'kill') await Promise.race([ended, run.catch(() => ended)])
  else await run.catch(() => {})
  await operator.stop().catch(() => {})
}
