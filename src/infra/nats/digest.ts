import { Packr } from 'msgpackr'
import type { LiveEvent } from '../../commands/index.ts'
import { type Envelope, isMembershipType, parseSubject, subjectOf } from '../../events/index.ts'

/** `digests.of.<stream>`: digests; `digests.want`: whoever follows them says so, over and over. */
export const DigestSubject = { all: 'digests.of.*', want: 'digests.want' } as const

export const digestSubject = (stream: string): string => `digests.of.${stream}`

/** How often digests are asked for while they are followed, ms. */
export const wantEveryMs = 1_000
/** How long they are written after somebody asked, ms. */
export const wantedForMs = 5_000

/**
 * What a stream has stored after sequence `from`, up to `to`, in columns. Of most events it names the conversation, whose own subject brings the event to whoever
 * wants it; those whose subject does not tell whom they concern it carries whole. Sequences that it says nothing of hold none of confab's events.
 */
export interface Digest {
  readonly stream: string
  readonly from: number
  readonly to: number
  /** Stream sequences less `from`, ascending. */
  readonly offsets: readonly number[]
  /** Conversations; '' where the event is carried whole. */
  readonly ids: readonly string[]
  /** seq in the conversation. */
  readonly seqs: readonly number[]
  /** By index. */
  readonly wholes: ReadonlyMap<number, LiveEvent>
}

type Whole = readonly [
  index: number,
  subject: string,
  type: string,
  version: number,
  seq: number,
  n: number,
  actor: string,
  commandId: string,
  epoch: number,
  keyId: string | undefined,
  traceparent: string | undefined,
  data: Uint8Array,
]

type Wire = readonly [
  from: number,
  to: number,
  offsets: readonly number[],
  ids: readonly string[],
  seqs: readonly number[],
  wholes: readonly Whole[],
]

/** Bytes of bodies, or events, with which a digest is long enough: with one more body, of 256 KiB at most, it is still less than NATS takes by default. */
const enoughBytes = 256 * 1024
const enoughEvents = 2_048

const packr = new Packr({ useRecords: false })

/** A digest that is being written: of what follows `from`. */
export class DigestDraft {
  readonly #from: number
  readonly #offsets: number[] = []
  readonly #ids: string[] = []
  readonly #seqs: number[] = []
  readonly #wholes: Whole[] = []
  #bytes = 0

  constructor(from: number) {
    this.#from = from
  }

  get isEmpty(): boolean {
    return this.#offsets.length === 0
  }

  get isLongEnough(): boolean {
    return this.#offsets.length >= enoughEvents || this.#bytes >= enoughBytes
  }

  /** The last sequence that it says something of. */
  get last(): number {
    return this.#from + (this.#offsets.at(-1) ?? 0)
  }

  /** The next event of the stream. Throws TypeError for a message that is no event of confab's. */
  add(event: LiveEvent): void {
    const { envelope, aggregate, streamSeq } = event
    const isNamed = aggregate.family === 'conv' && !isMembershipType(event.type)
    if (!isNamed) {
      this.#bytes += event.data.length
      this.#wholes.push(wholeOf(this.#offsets.length, subjectOf(aggregate), envelope, event.data))
    }
    this.#offsets.push(streamSeq - this.#from)
    this.#ids.push(isNamed ? aggregate.id : '')
    this.#seqs.push(envelope.seq)
  }

  /** `to`: where the stream is. */
  encode(to: number): Uint8Array {
    const wire: Wire = [this.#from, to, this.#offsets, this.#ids, this.#seqs, this.#wholes]
    return packr.pack(wire)
  }
}

const wholeOf = (index: number, subject: string, envelope: Envelope, data: Uint8Array): Whole => {
  const { type, version, seq, n, actor, commandId, epoch, keyId, traceparent } = envelope
  return [index, subject, type, version, seq, n, actor, commandId, epoch, keyId, traceparent, data]
}

const eventOf = (whole: Whole, stream: string, streamSeq: number): LiveEvent => {
  const [, subject, type, version, seq, n, actor, commandId, epoch, keyId, traceparent, data] = whole
  const aggregate = parseSubject(subject)
  if (aggregate === undefined) throw new TypeError(`no aggregate's subject: ${subject}`)
  const envelope: Envelope = {
    type,
    version,
    seq,
    n,
    actor,
    commandId,
    epoch,
    ...(keyId ? { keyId } : {}),
    ...(traceparent ? { traceparent } : {}),
  }
  return { stream, streamSeq, aggregate, envelope, type, data }
}

/** Throws for what is no digest. `data` of its events are views into it. */
export const decodeDigest = (subject: string, bytes: Uint8Array): Digest => {
  const stream = subject.slice(subject.lastIndexOf('.') + 1)
  const [from, to, offsets, ids, seqs, wholes] = packr.unpack(bytes) as Wire
  const columns = [offsets, ids, seqs]
  if (!(to >= from) || !columns.every(column => Array.isArray(column) && column.length === ids.length))
    throw new TypeError('no digest')
  return {
    stream,
    from,
    to,
    offsets,
    ids,
    seqs,
    wholes: new Map(
      wholes.map(whole => [whole[0], eventOf(whole, stream, from + (offsets[whole[0]] as number))]),
    ),
  }
}
