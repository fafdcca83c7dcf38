import { setTimeout as sleep } from 'node:timers/promises'
import { ConflictError } from '../../src/commands/index.ts'
import { type AggregateRef, ConfabError, type Position } from '../../src/events/index.ts'
import { NatsLiveFeed } from '../../src/infra/nats/feed/nats-live-feed.ts'
import { JetStreamEventLog } from '../../src/infra/nats/log/jetstream-event-log.ts'
import { LiveLayout } from '../../src/infra/nats/log/live-layout.ts'
import { HomeFence } from '../../src/infra/nats/regions/home-fence.ts'
import { type Clock, Lease } from '../../src/infra/nats/regions/lease.ts'
import { MirrorAcks, MirrorReports } from '../../src/infra/nats/regions/mirror-acks.ts'
import { newEvent } from '../contracts/new-events.ts'
import type { TestRegion, TestRegions } from './nats-regions.ts'

/** The parts of a commands node in a region: a layout, a lease, and a log that the lease guards. */
export interface RegionWriter {
  readonly region: string
  readonly lease: Lease
  readonly layout: LiveLayout
  readonly log: JetStreamEventLog
  readonly fence: HomeFence
}

export interface OpenWriterOptions {
  readonly clock?: Clock
  readonly timeoutMs?: number
  /** Streams whose events are acknowledged when a mirror has them, too. */
  readonly waits?: ReadonlySet<string>
}

/** The servers of a writer. */
export interface WriterServers extends Pick<TestRegions, 'topology'> {
  region(name: string): Pick<TestRegion, 'connect'>
}

/** Opens a writer as a commands node of a region. */
export const openWriter = async (
  t: { teardown(fn: () => unknown): void },
  servers: WriterServers,
  region: string,
  { clock, timeoutMs = 1_000, waits }: OpenWriterOptions = {},
): Promise<RegionWriter> => {
  const nats = await servers.region(region).connect('commands')
  const layout = await LiveLayout.open(nats)
  const lease = new Lease(nats, {
    region,
    node: `node-${region}-${Math.random().toString(36).slice(2)}`,
    regions: servers.topology.regions,
    settings: servers.topology.lease,
    ...(clock === undefined ? {} : { clock }),
  })
  const mirrors = waits && new MirrorAcks(nats, layout, { streams: waits, timeoutMs })
  if (waits !== undefined) {
    const feed = new NatsLiveFeed(nats, layout, { interest: 'everything' })
    const reports = new MirrorReports(nats, feed, layout, waits)
    await feed.start()
    t.teardown(async () => {
      reports.stop()
      mirrors?.close()
      await feed.stop()
    })
  }
  const fence = new HomeFence(lease, mirrors)
  const log = new JetStreamEventLog(nats, layout, { timeoutMs, fence })
  t.teardown(() => {
    lease.close()
    log.close()
    layout.close()
  })
  return { region, lease, layout, log, fence }
}

/** Waits until a writer may, or may not, write a stream. */
export const untilLease = async ({ lease }: RegionWriter, stream: string, held = true): Promise<void> => {
  while ((lease.epochOf(stream) !== undefined) !== held) await sleep(10)
}

/** An event that a writer acknowledged. */
export interface AckedEvent {
  readonly id: string
  readonly commandId: string
  readonly region: string
  readonly epoch: number
  readonly stream: string
  readonly streamSeq: number
  /** As by `performance.now()`. */
  readonly at: number
}

/**
 * A naive client: it appends events to one aggregate, one after another, at any writer that accepts them. An event
 * whose outcome is unknown is sent again with the same id.
 */
export class NaiveClient {
  readonly acked: AckedEvent[] = []
  readonly #aggregate: AggregateRef
  readonly #writers: readonly RegionWriter[]
  readonly #pauseMs: number
  readonly #done: Promise<void>
  #isOver = false

  /** `pauseMs`: time between an ack and the next event. */
  constructor(aggregate: AggregateRef, writers: readonly RegionWriter[], pauseMs = 0) {
    this.#pauseMs = pauseMs
    this.#aggregate = aggregate
    this.#writers = writers
    this.#done = this.#run()
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#done
  }

  async #run(): Promise<void> {
    for (let seq = 1; !this.#isOver; seq++) {
      if (this.#pauseMs > 0) await sleep(this.#pauseMs)
      const event = newEvent(seq)
      const { commandId } = event.envelope
      for (let attempt = 0; !this.#isOver; attempt++) {
        const writer = this.#writers[attempt % this.#writers.length] as RegionWriter
        const stream = writer.layout.streamOf(this.#aggregate)
        const epoch = writer.lease.epochOf(stream)
        if (epoch === undefined || writer.layout.ingestPrefixOf(this.#aggregate) === undefined) {
          await sleep(2)
          continue
        }
        try {
          const last = await writer.log.last(this.#aggregate)
          if (last?.envelope.commandId === commandId) {
            // Another region may be the home by now, or no mirror has the event.
            if (!(await writer.fence.confirm(last.stream, last.streamSeq))) continue
            this.#ack(writer, commandId, last)
            break
          }
          const ofEpoch = { ...event, envelope: { ...event.envelope, epoch } }
          const { position } = await writer.log.append(this.#aggregate, last?.streamSeq ?? 0, [ofEpoch])
          this.#ack(writer, commandId, position)
          break
        } catch (error) {
          if (!ConflictError.is(error) && ConfabError.from(error).code !== 'UNAVAILABLE') throw error
          await sleep(5)
        }
      }
    }
  }

  #ack({ region, lease }: RegionWriter, commandId: string, { stream, streamSeq }: Position): void {
    const [{ id }, at, epoch] = [this.#aggregate, performance.now(), lease.epochOf(stream) ?? 0]
    this.acked.push({ id, commandId, region, epoch, stream, streamSeq, at })
  }
}
