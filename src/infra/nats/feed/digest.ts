import { Packr } from 'msgpackr'
import type { LiveEvent } from '../../../commands/index.ts'
import { type Envelope, isMembershipType, parseSubject, subjectOf } from '../../../events/index.ts'

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

/** An event that a digest carries; `index`: its place in the columns. */
interface Whole {
  readonly index: number
  readonly subject: string
  readonly envelope: Envelope
  readonly data: Uint8Array
}

/** A digest on its way; its subject names the stream. */
interface WireDigest extends Omit<Digest, 'stream' | 'wholes'> {
  readonly wholes: readonly Whole[]
}

/** Bytes of bodies, or events, with which a digest is long enough: with one more body, of 256 KiB at most, it is still less than NATS takes by default. */
const enoughBytes = 256 * 1024
const enoughEvents = 2_048

/** With records the names of fields stand once in a digest, not once an event. */
const packr = new Packr({ useRecords: true })

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
      this.#wholes.push({
        index: this.#offsets.length,
        subject: subjectOf(aggregate),
        envelope,
        data: event.data,
      })
    }
    this.#offsets.push(streamSeq - this.#from)
    this.#ids.push(isNamed ? aggregate.id : '')
    this.#seqs.push(envelope.seq)
  }

  /** `to`: where the stream is. */
  encode(to: number): Uint8Array {
    const digest: WireDigest = {
      from: this.#from,
      to,
      offsets: this.#offsets,
      ids: this.#ids,
      seqs: this.#seqs,
      wholes: this.#wholes,
    }
    return packr.pack(digest)
  }
}

/** Throws for what is no digest. `data` of its events are views into it. */
export const decodeDigest = (subject: string, bytes: Uint8Array): Digest => {
  const stream = subject.slice(subject.lastIndexOf('.') + 1)
  const { from, to, offsets, ids, seqs, wholes } = packr.unpack(bytes) as WireDigest
  const columns = [offsets, ids, seqs]
  if (!(to >= from) || !columns.every(column => Array.isArray(column) && column.length === ids.length))
    throw new TypeError('no digest')
  const eventOf = ({ index, subject, envelope, data }: Whole): LiveEvent => {
    const aggregate = parseSubject(subject)
    const offset = offsets[index]
    if (aggregate === undefined || offset === undefined) throw new TypeError(`no event of it: ${subject}`)
    return { stream, streamSeq: from + offset, aggregate, envelope, type: envelope.type, data }
  }
  return {
    stream,
    from,
    to,
    offsets,
    ids,
    seqs,
    wholes: new Map(wholes.map(whole => [whole.index, eventOf(whole)])),
  }
}
