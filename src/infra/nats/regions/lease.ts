import { type Nats, rawHeaders } from '../client/connection.ts'
import { isSequenceConflict } from '../client/jetstream-api.ts'
import { isRefusal, readAck } from '../client/publish-ack.ts'
import { readDocument, readRemoteDocument } from './promise-document.ts'
import { type HomePromise, majorityOf, newestOf, type Promises } from './promises.ts'
import { grantSubject, promisesSubject } from './promises-stream.ts'
import type { LeaseSettings, Region } from './topology.ts'

/** A time by both clocks, ms. Machines that were suspended stop the first, and operators set the second. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export type Clock = () => Instant

const systemClock: Clock = () => ({ monotonic: performance.now(), wall: Date.now() })

/** One region's promises as this process last read them, and the last grant under them. */
interface Grantor {
  readonly region: string
  readonly domain: string
  promises: Promises | undefined
  /** Sequence of `promises`; undefined before they were read. */
  seq: number | undefined
  /** When the last request was sent that the region granted under `promises`. */
  grantedAt: Instant | undefined
  isAsking: boolean
}

/** The right to write a stream until a time by both clocks. */
interface Held {
  readonly epoch: number
  readonly until: Instant
}

export interface LeaseOptions {
  /** The region of this process. */
  readonly region: string
  /** A name of this process, unique among all processes: a token of a subject. */
  readonly node: string
  /** All regions, also the witness. */
  readonly regions: readonly Region[]
  readonly settings: LeaseSettings
  readonly clock?: Clock
}

/** A grant is removed when its node has not renewed it for this long. */
const grantTtl = '1h'
/** Shortest timeout of a request to a region, ms. */
const leastTimeoutMs = 1_000

/**
 * The right of a commands node to write the streams whose home is its region. The regions grant it: each stores a
 * message of the node under the condition that its promises are still those that the node has read, and a majority of
 * such grants is the lease. It ends `settings.timeMs` after the requests were sent, by either clock. So a node that is
 * cut off stops before a new home begins, without a word from an operator. The server that stores the message checks
 * the condition: one that lost its leadership cannot grant.
 */
export class Lease {
  readonly #nats: Nats
  readonly #options: LeaseOptions
  readonly #clock: Clock
  readonly #grantors: readonly Grantor[]
  readonly #timer: NodeJS.Timeout
  readonly #listeners = new Set<() => void>()
  /** The sequence of the last event of each stream that this process has stored. The regions keep it for operators. */
  readonly #stored = new Map<string, number>()
  #held: ReadonlyMap<string, Held> = new Map()
  #served = ''

  constructor(nats: Nats, options: LeaseOptions) {
    this.#nats = nats
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#grantors = options.regions.map(({ name, domain = '' }) => ({
      region: name,
      domain,
      promises: undefined,
      seq: undefined,
      grantedAt: undefined,
      isAsking: false,
    }))
    this.#timer = setInterval(() => this.renew(), options.settings.renewalMs)
    this.#timer.unref()
    this.renew()
  }

  /** The epoch under which this process may write a stream now; undefined when it may not. */
  epochOf(stream: string): number | undefined {
    const held = this.#held.get(stream)
    if (held === undefined) return undefined
    const { monotonic, wall } = this.#clock()
    return monotonic < held.until.monotonic && wall < held.until.wall ? held.epoch : undefined
  }

  /** The streams that this process may write now, with their epochs. */
  served(): ReadonlyMap<string, number> {
    const served = new Map<string, number>()
    for (const stream of this.#held.keys()) {
      const epoch = this.epochOf(stream)
      if (epoch !== undefined) served.set(stream, epoch)
    }
    return served
  }

  mayWrite(stream: string): boolean {
    return this.epochOf(stream) !== undefined
  }

  onStored(stream: string, streamSeq: number): void {
    this.#stored.set(stream, streamSeq)
  }

  /** The sequence of the last event of a stream that this process has stored; 0 for none. */
  storedIn(stream: string): number {
    return this.#stored.get(stream) ?? 0
  }

  /** Calls `listener` when the streams change that this process may write. Returns a function that removes it. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#listeners.clear()
    this.#held = new Map()
  }

  /** Asks all regions now, as it does at each interval: the promises may have changed. */
  renew(): void {
    this.#checkServed()
    if (!this.#nats.connected()) return
    for (const grantor of this.#grantors) void this.#ask(grantor)
  }

  /** Never rejects: a region that does not answer grants nothing. */
  async #ask(grantor: Grantor): Promise<void> {
    if (grantor.isAsking) return
    grantor.isAsking = true
    const timeout = Math.max(leastTimeoutMs, this.#options.settings.renewalMs)
    try {
      if (grantor.seq === undefined) await this.#read(grantor, timeout)
      const sentAt = this.#clock()
      if (await this.#isGranted(grantor, timeout)) grantor.grantedAt = sentAt
      else {
        // The promises changed. An earlier grant still counts for the streams whose promise is the same.
        await this.#read(grantor, timeout)
        const again = this.#clock()
        if (await this.#isGranted(grantor, timeout)) grantor.grantedAt = again
      }
    } catch {
      // No answer, or no such stream yet.
    } finally {
      grantor.isAsking = false
      this.#count()
    }
  }

  async #read(grantor: Grantor, timeout: number): Promise<void> {
    const { region, domain } = grantor
    const subject = promisesSubject(region)
    // The server maps the API of its own domain in the account of the log only.
    const { value, seq } = await (region === this.#options.region
      ? readDocument<Promises>(this.#nats, subject, timeout)
      : readRemoteDocument<Promises>(this.#nats, domain, subject, timeout))
    if (seq < (grantor.seq ?? 0)) return
    grantor.promises = value
    grantor.seq = seq
    this.#count()
  }

  /** Whether the region stored the grant: its promises are those that this process has read. */
  async #isGranted({ region, seq = 0 }: Grantor, timeout: number): Promise<boolean> {
    const headers = rawHeaders(
      `NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${seq}\r\nNats-Expected-Last-Subject-Sequence-Subject: ${promisesSubject(region)}\r\nNats-TTL: ${grantTtl}\r\n\r\n`,
    )
    const ack = readAck(
      await this.#nats.connection.request(
        grantSubject(region, this.#options.node),
        JSON.stringify({ last: Object.fromEntries(this.#stored) }),
        { timeout, headers },
      ),
    )
    if (isRefusal(ack) && !isSequenceConflict(ack.errCode)) throw new Error(ack.description)
    return !isRefusal(ack)
  }

  /** Counts the grants of each stream. */
  #count(): void {
    const { region, settings } = this.#options
    const { fenced = [] } = newestOf(this.#grantors.map(({ promises }) => promises))
    const counted = this.#grantors.filter(grantor => !fenced.includes(grantor.region))
    const majority = majorityOf(counted.length)
    const held = new Map<string, Held>()
    const streams = new Set(this.#grantors.flatMap(({ promises }) => Object.keys(promises?.streams ?? {})))
    for (const stream of streams) {
      const known = this.#grantors.map(({ promises }) => promises?.streams[stream])
      const epoch = Math.max(...known.map(one => one?.epoch ?? 0))
      const isOurs = (one: HomePromise | undefined): boolean => one?.epoch === epoch && one.home === region
      const grants = counted
        .flatMap(({ promises, grantedAt }) =>
          grantedAt !== undefined && isOurs(promises?.streams[stream]) ? [grantedAt] : [],
        )
        .sort((one, other) => other.monotonic - one.monotonic)
        .slice(0, majority)
      if (grants.length < majority) continue
      held.set(stream, {
        epoch,
        until: {
          monotonic: Math.min(...grants.map(({ monotonic }) => monotonic)) + settings.timeMs,
          wall: Math.min(...grants.map(({ wall }) => wall)) + settings.timeMs,
        },
      })
    }
    this.#held = held
    this.#checkServed()
  }

  #checkServed(): void {
    const served = JSON.stringify([...this.served()].sort())
    if (served === this.#served) return
    this.#served = served
    for (const listener of this.#listeners)
      try {
        listener()
      } catch (error) {
        this.#nats.listenerFailed(error, 'lease')
      }
  }
}
