import { Packr } from 'msgpackr'
import type { LiveEvent } from '../../../commands/index.ts'
import {
  type AggregateRef,
  type Envelope,
  encodeBody,
  Family,
  isMembershipType,
  parseSubject,
  subjectOf,
  subjectToken,
} from '../../../events/index.ts'

/**
 * `all`: the digests of all streams, each on a subject of its own. `request`: sent regularly by each node that follows
 * digests. The version is part of the subjects: nodes of versions that do not understand each other follow all events.
 */
export const DigestSubject = { all: 'digests.v2.of.*', request: 'digests.v2.request' } as const

/** Returns the subject of the digests of a stream. Throws InvalidNameError. */
export const digestSubject = (stream: string): string => `digests.v2.of.${subjectToken(stream)}`

/** Interval between the requests of a node that follows digests, ms. */
export const requestEveryMs = 1_000
/** Time for which digests are written after a request, ms. */
export const requestLifeMs = 5_000

/**
 * Bytes of event bodies, or events, that complete a digest. One more body of at most 256 KiB fits into a NATS message.
 */
const fullBytes = 256 * 1024
const fullEvents = 2_048

/** Records write the names of the fields once a digest, not once an event. */
const packr = new Packr({ useRecords: true })

/** The body of a marker as encodeBody writes it. */
const markerBody =
  /^\{"u":"([^"\\]+)","seq":(\d+),"type":"(?:read|delivered)\.marked","at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)","c":"([^"\\]+)","mark":(\d+)\}$/

const MarkerType = { read: 'read.marked', delivered: 'delivered.marked' } as const

const isMarkerType = (type: string): boolean => type === MarkerType.read || type === MarkerType.delivered

/** A marker in a digest, beside its user and `seq`. */
interface Marker {
  readonly c: string
  readonly mark: number
  readonly at: number
}

/**
 * The marker that an event sets; undefined for all other events, and when a digest cannot reproduce the event's body.
 */
const markerOf = ({ type, aggregate, envelope, data }: LiveEvent): Marker | undefined => {
  if (aggregate.family !== Family.user || !isMarkerType(type)) return undefined
  if (envelope.version !== 1 || envelope.keyId !== undefined || envelope.actor !== aggregate.id)
    return undefined
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const [, user, seq, at = '', c = '', mark] = markerBody.exec(bytes.toString('latin1')) ?? []
  if (user !== aggregate.id || Number(seq) !== envelope.seq) return undefined
  return { c, mark: Number(mark), at: Date.parse(at) }
}

/** The conversation of a marker; undefined for all other events. */
export const conversationOfMarker = (event: LiveEvent): string | undefined => markerOf(event)?.c

/** The markers of a stream of users, in columns. An event that is no marker has empty values. */
interface MarkerColumns {
  readonly epoch: number
  /** Time of the first marker, ms since 1970. */
  readonly since: number
  readonly conversations: string[]
  readonly marks: number[]
  /** 1 for a read marker, 0 for a delivered one. */
  readonly reads: number[]
  /** Milliseconds after `since`. */
  readonly times: number[]
}

/** An event that a digest carries completely; `index` is its index in the columns. */
interface CompleteEvent {
  readonly index: number
  readonly subject: string
  readonly envelope: Envelope
  readonly data: Uint8Array
}

/** A digest as it is published; the subject names the stream. */
interface WireDigest {
  readonly from: number
  readonly to: number
  /** Stream sequences less `from`, ascending. */
  readonly offsets: readonly number[]
  /** Conversations or users; '' for a complete event. */
  readonly ids: readonly string[]
  /** `seq` in the conversation or of the user. */
  readonly seqs: readonly number[]
  /** Given for a stream of users. */
  readonly markers?: MarkerColumns
  readonly complete: readonly CompleteEvent[]
}

/** Collects the events of a stream after sequence `from` for the next digest. */
export class DigestDraft {
  readonly #from: number
  readonly #offsets: number[] = []
  readonly #ids: string[] = []
  readonly #seqs: number[] = []
  readonly #complete: CompleteEvent[] = []
  #markers: MarkerColumns | undefined
  #bytes = 0

  constructor(from: number) {
    this.#from = from
  }

  get isEmpty(): boolean {
    return this.#offsets.length === 0
  }

  get isFull(): boolean {
    return this.#offsets.length >= fullEvents || this.#bytes >= fullBytes
  }

  /** Stream sequence of the last event. */
  get last(): number {
    return this.#from + (this.#offsets.at(-1) ?? 0)
  }

  /** Adds the next event of the stream. Throws TypeError for a message that is not an event of confab. */
  add(event: LiveEvent): void {
    const { envelope, aggregate, streamSeq } = event
    const isNamed =
      aggregate.family === Family.conversation ? !isMembershipType(event.type) : this.#addMarker(event)
    if (!isNamed) {
      this.#bytes += event.data.length
      const subject = subjectOf(aggregate)
      this.#complete.push({ index: this.#offsets.length, subject, envelope, data: event.data })
    }
    this.#offsets.push(streamSeq - this.#from)
    this.#ids.push(isNamed ? aggregate.id : '')
    this.#seqs.push(envelope.seq)
  }

  /** `to`: stream sequence up to which the digest describes the stream. */
  encode(to: number): Uint8Array {
    const digest: WireDigest = {
      from: this.#from,
      to,
      offsets: this.#offsets,
      ids: this.#ids,
      seqs: this.#seqs,
      ...(this.#markers === undefined ? {} : { markers: this.#markers }),
      complete: this.#complete,
    }
    return packr.pack(digest)
  }

  /** Adds a row for an event of a user. Whether the row describes it, as a marker. */
  #addMarker(event: LiveEvent): boolean {
    const marker = markerOf(event)
    const { epoch } = event.envelope
    const rows = this.#offsets.length
    this.#markers ??= {
      epoch,
      since: marker?.at ?? 0,
      conversations: new Array<string>(rows).fill(''),
      marks: new Array<number>(rows).fill(0),
      reads: new Array<number>(rows).fill(0),
      times: new Array<number>(rows).fill(0),
    }
    const { conversations, marks, reads, times, since } = this.#markers
    const isMarker = marker !== undefined && epoch === this.#markers.epoch
    conversations.push(isMarker ? marker.c : '')
    marks.push(isMarker ? marker.mark : 0)
    reads.push(isMarker && event.type === MarkerType.read ? 1 : 0)
    times.push(isMarker ? marker.at - since : 0)
    return isMarker
  }
}

/**
 * A description of the events that a stream stored after sequence `from`, up to `to`. It names the conversation of most
 * events: a node that needs the event subscribes to its subject. A digest describes markers well enough to rebuild
 * their events, and carries all other events of users and membership changes completely. Sequences that it does not
 * mention hold no event of confab.
 */
export class Digest {
  readonly stream: string
  readonly from: number
  readonly to: number
  /** Number of events. */
  readonly size: number
  readonly #wire: WireDigest
  readonly #complete: ReadonlyMap<number, LiveEvent>

  /** Throws for an invalid digest. The bodies of complete events are views into `bytes`. */
  constructor(subject: string, bytes: Uint8Array) {
    const wire = packr.unpack(bytes) as WireDigest
    const { from, to, offsets, ids, seqs, markers } = wire
    const columns: unknown[] = [offsets, seqs]
    if (markers !== undefined)
      columns.push(markers.conversations, markers.marks, markers.reads, markers.times)
    const isColumn = (column: unknown): boolean => Array.isArray(column) && column.length === ids.length
    if (!(to >= from) || !Array.isArray(ids) || !columns.every(isColumn)) throw new TypeError('not a digest')
    this.stream = subject.slice(subject.lastIndexOf('.') + 1)
    this.from = from
    this.to = to
    this.size = ids.length
    this.#wire = wire
    this.#complete = new Map(wire.complete.map(event => [event.index, this.#eventOf(event)]))
  }

  streamSeq(index: number): number {
    return this.from + this.#wire.offsets[index]!
  }

  seq(index: number): number {
    return this.#wire.seqs[index]!
  }

  /** The aggregate of an event that the digest does not carry completely. */
  aggregate(index: number): AggregateRef {
    const family = this.#wire.markers === undefined ? Family.conversation : Family.user
    return { family, id: this.#wire.ids[index]! }
  }

  /** An event that the digest carries completely. */
  completeEvent(index: number): LiveEvent | undefined {
    return this.#complete.get(index)
  }

  /** The conversation of a marker; undefined when the digest only names the event. */
  markerConversation(index: number): string | undefined {
    return this.#wire.markers?.conversations[index]
  }

  /** The event of a marker. */
  markerEvent(index: number): LiveEvent {
    const { markers, seqs, ids } = this.#wire
    if (markers === undefined) throw new TypeError('a digest of conversations has no markers')
    const user = ids[index]!
    const seq = seqs[index]!
    const type = markers.reads[index] === 1 ? MarkerType.read : MarkerType.delivered
    const at = new Date(markers.since + markers.times[index]!).toISOString()
    const { epoch, conversations, marks } = markers
    return {
      stream: this.stream,
      streamSeq: this.streamSeq(index),
      aggregate: this.aggregate(index),
      envelope: { type, version: 1, seq, n: 0, actor: user, commandId: '', epoch },
      type,
      data: encodeBody({ u: user, seq, type, at, c: conversations[index]!, mark: marks[index]! }),
    }
  }

  #eventOf({ index, subject, envelope, data }: CompleteEvent): LiveEvent {
    const aggregate = parseSubject(subject)
    if (aggregate === undefined || !(index >= 0 && index < this.size))
      throw new TypeError(`not an event of the digest: ${subject}`)
    const { stream } = this
    return { stream, streamSeq: this.streamSeq(index), aggregate, envelope, type: envelope.type, data }
  }
}
