import { setTimeout as sleep } from 'node:timers/promises'
import { ConflictError } from '../../src/commands/index.ts'
import { type AggregateRef, ConfabError } from '../../src/events/index.ts'
import { NatsLiveFeed } from '../../src/infra/nats/feed/nats-live-feed.ts'
import { JetStreamEventLog } from '../../src/infra/nats/log/jetstream-event-log.ts'
import { LiveLayout } from '../../src/infra/nats/log/live-layout.ts'
import { HomeFence } from '../../src/infra/nats/regions/home-fence.ts'
import { type Clock, Lease } from '../../src/infra/nats/regions/lease.ts'
import { MirrorAcks, MirrorReports } from '../../src/infra/nats/regions/mirror-acks.ts'
import { newEvent } from '../contracts/new-events.ts'
import type { TestRegions } from './nats-regions.ts'

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

/** Opens a writer as a commands node of a region. */
export const openWriter = async (
  t: { teardown(fn: () => unknown): void },
  servers: TestRegions,
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
  readonly #done: Promise<void>
  #isOver = false

  constructor(aggregate: AggregateRef, writers: readonly RegionWriter[]) {
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
      const event = newEvent(seq)
      for (let attempt = 0; !this.#isOver; attempt++) {
        const writer = this.#writers[attempt % this.#writers.length] as RegionWriter
        if (writer.layout.ingestPrefixOf(this.#aggregate) === undefined) {
          await sleep(2)
          continue
        }
        try {
          const last = await writer.log.last(this.#aggregate)
          if (last?.envelope.commandId === event.envelope.commandId) {
            // Another region may be the home by now, or no mirror has the event.
            if (!(await writer.fence.confirm(last.stream, last.streamSeq))) continue
            this.#ack(writer.region, event.envelope.commandId, last.stream, last.streamSeq)
            break
          }
          const { position } = await writer.log.append(this.#aggregate, last?.streamSeq ?? 0, [event])
          this.#ack(writer.region, event.envelope.commandId, position.stream, position.streamSeq)
          break
        } catch (error) {
          if (!ConflictError.is(error) && ConfabError.from(error).code !== 'UNAVAILABLE') throw error
          await sleep(5)
        }
      }
    }
  }

  #ack(region: string, commandId: string, stream: string, streamSeq: number): void {
    this.acked.push({ id: this.#aggregate.id, commandId, region, stream, streamSeq, at: performance.now() })
  }
}
