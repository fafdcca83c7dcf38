import { promisify } from 'node:util'
import { deflateRaw, inflateRaw } from 'node:zlib'
import { jetstreamManager } from '@nats-io/jetstream'
import type { Msg, MsgHdrs } from '@nats-io/transport-node'
import { type Epochs, keptUpTo, type Snapshot, type SnapshotStore } from '../../../commands/index.ts'
import { type AggregateRef, snapshotSubjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { rawHeaders } from '../client/connection.ts'
import { apiSubject, streamTaking } from '../client/jetstream-api.ts'
import { isRefusal, readAck, refusalError } from '../client/publish-ack.ts'
import { headerIn, headerText, needleOf, statusIn } from '../client/raw-message.ts'
import type { LogLayout } from './log-layout.ts'
import { unavailable } from './log-reader.ts'

const deflate = promisify(deflateRaw)
const inflate = promisify(inflateRaw)

/** Smallest snapshot that is compressed, bytes. */
const compressFrom = 1024
const versionHeader = 'Confab-Snapshot-Version'
const seqHeader = 'Confab-Snapshot-Seq'
/** The epoch of the aggregate's stream when the snapshot was taken. Absent: 1. */
const epochHeader = 'Confab-Snapshot-Epoch'
const encodingHeader = 'Confab-Snapshot-Encoding'
const timeout = 5_000

type SnapshotLayout = Pick<Epochs, 'epochOf' | 'cutsOf'> & Pick<LogLayout, 'streamOf'>

/** Snapshots in the stream that takes `snap.>`. The stream keeps the last message of each subject. */
export class JetStreamSnapshots implements SnapshotStore {
  readonly #nats: Nats
  readonly #layout: SnapshotLayout | undefined
  #stream: Promise<string> | undefined

  /** `layout`: rejects snapshots that hold lost events. Default: the streams have one home. */
  constructor(nats: Nats, layout?: SnapshotLayout) {
    this.#nats = nats
    this.#layout = layout
  }

  async load(aggregate: AggregateRef): Promise<Snapshot | undefined> {
    const subject = snapshotSubjectOf(aggregate)
    const msg = await this.#request(
      async () => apiSubject('DIRECT.GET', await this.#streamName(), subject),
      new Uint8Array(0),
    )
    const text = headerText(msg)
    if (statusIn(text) !== 0) return undefined
    const version = Number(headerIn(text, needleOf(versionHeader)))
    const streamSeq = Number(headerIn(text, needleOf(seqHeader)))
    if (!(version >= 1) || !(streamSeq >= 1)) return undefined
    if (this.#isCutOff(aggregate, streamSeq, Number(headerIn(text, needleOf(epochHeader)) || 1)))
      return undefined
    const isDeflated = headerIn(text, needleOf(encodingHeader)) === 'deflate'
    return { version, streamSeq, data: isDeflated ? await inflate(msg.data) : msg.data }
  }

  async save(aggregate: AggregateRef, { version, streamSeq, data }: Snapshot): Promise<void> {
    const isLarge = data.length >= compressFrom
    const epoch = this.#layout?.epochOf(this.#layout.streamOf(aggregate)) ?? 1
    const headers = rawHeaders(
      `NATS/1.0\r\n${versionHeader}: ${version}\r\n${seqHeader}: ${streamSeq}\r\n${epoch > 1 ? `${epochHeader}: ${epoch}\r\n` : ''}${isLarge ? `${encodingHeader}: deflate\r\n` : ''}\r\n`,
    )
    const body = isLarge ? await deflate(data, { level: 1 }) : data
    const ack = readAck(await this.#request(() => snapshotSubjectOf(aggregate), body, headers))
    if (isRefusal(ack)) throw refusalError(ack)
  }

  /** Whether the stream was continued before the end of a snapshot, by a home that lacked the last events. */
  #isCutOff(aggregate: AggregateRef, streamSeq: number, epoch: number): boolean {
    if (this.#layout === undefined) return false
    return streamSeq > keptUpTo(this.#layout.cutsOf(this.#layout.streamOf(aggregate)), epoch)
  }

  /** Finds the stream once; a failure is not kept. */
  #streamName(): Promise<string> {
    this.#stream ??= jetstreamManager(this.#nats.connection, { checkAPI: false, timeout })
      .then(manager => streamTaking(manager, 'snap.>'))
      .catch(error => {
        this.#stream = undefined
        throw error
      })
    return this.#stream
  }

  async #request(subject: () => string | Promise<string>, body: Uint8Array, headers?: MsgHdrs): Promise<Msg> {
    if (!this.#nats.connected()) throw unavailable('not connected')
    try {
      const options = { timeout, ...(headers ? { headers } : {}) }
      return await this.#nats.connection.request(await subject(), body, options)
    } catch (error) {
      throw unavailable(error instanceof Error ? error.message : String(error))
    }
  }
}
