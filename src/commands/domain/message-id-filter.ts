import { fnv1a32 } from '../../events/index.ts'

/**
 * The message ids that a conversation has seen, in bounded memory. Answers "never" for certain, or "perhaps".
 *
 * The filter is a list of Bloom filters ("generations") with 16 bits an id. Each generation is four times as large as
 * the one before it, up to 4,096 ids. The oldest generation is dropped when the others hold enough without it, so the
 * filter covers the last 12,000 to 16,000 ids in 32 kB, and a small conversation takes little memory. The bits of an
 * id lie in one block of 64 bytes, so that a check reads one cache line a generation.
 *
 * Of a dropped generation only the latest time is kept. An id that carries a later time was not in it. Clients choose
 * ids, so the time may be wrong: an id whose time is later than the server's is postdated. Postdated ids go to
 * generations of their own, and never raise the latest time beyond the server's clock.
 * @see Almeida et al., "Scalable Bloom Filters", 2007; Putze et al., "Cache-, Hash- and Space-Efficient Bloom
 * Filters", 2007
 */
export interface MessageIdFilter {
  /** Oldest first. Ids are added to the last one. */
  generations: Generation[]
  /**
   * Generations of postdated ids, oldest first. One is dropped only when the server's clock has passed all of its
   * times.
   */
  postdated: Generation[]
  /** Latest time in a dropped id, ms since 1970; -1 when no dropped id carried one. Undefined: nothing was dropped. */
  dropped: number | undefined
}

export interface Generation {
  readonly bits: Uint32Array
  count: number
  /** Latest time in an id of this generation, ms since 1970; -1 when none carried one. */
  youngest: number
}

const probes = 6
const bitsPerId = 16
const blockWords = 16
const firstCapacity = 256
const growth = 4
const lastCapacity = 4096
/** The oldest generation is dropped when the others have this capacity without it. */
const enough = 4 * lastCapacity
/** Generations of postdated ids: 5,376 ids in 11 kB. With more ids the last one answers "perhaps" more often. */
const maxPostdated = 3
/** How far a client's clock may be ahead of the server's before its ids count as postdated, ms. */
export const clockSkewMs = 60_000

export const emptyFilter = (): MessageIdFilter => ({ generations: [], postdated: [], dropped: undefined })

const capacityOf = (generation: Generation): number => (generation.bits.length * 32) / bitsPerId

/** A second hash derived from the first: the finaliser of MurmurHash3. */
const scatter = (hash: number): number => {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** Index of the first word of an id's block. */
const blockOf = (bits: Uint32Array, hash: number): number => hash & (bits.length - blockWords)

const holds = (bits: Uint32Array, hash: number, scattered: number): boolean => {
  const block = blockOf(bits, hash)
  const stride = (scattered >>> 9) | 1
  for (let i = 0, at = scattered; i < probes; i++, at += stride)
    if ((bits[block + ((at >>> 5) & (blockWords - 1))]! & (1 << (at & 31))) === 0) return false
  return true
}

const anyHolds = (
  generations: readonly Generation[],
  time: number,
  hash: number,
  scattered: number,
): boolean => {
  for (let i = generations.length - 1; i >= 0; i--) {
    // An id that is younger than the whole generation is not in it: this check has no false positives, unlike the bits.
    const { bits, youngest } = generations[i]!
    if (time <= youngest && holds(bits, hash, scattered)) return true
  }
  return false
}

/** Returns false when the conversation never had a message with this id, true when it may have had one. */
export const mayHaveSeen = (filter: MessageIdFilter, m: string): boolean => {
  const time = timeOfId(m)
  if (filter.dropped !== undefined && !(time > filter.dropped)) return true
  const hash = fnv1a32(m)
  const scattered = scatter(hash)
  if (anyHolds(filter.generations, time, hash, scattered)) return true
  return filter.postdated.length > 0 && anyHolds(filter.postdated, time, hash, scattered)
}

/** Adds an id in place. `at` is the server's time of the message, ms since 1970. */
export const addToFilter = (filter: MessageIdFilter, m: string, at: number): void => {
  const { postdated } = filter
  while (postdated.length === maxPostdated && postdated[0]!.youngest <= at) drop(filter, postdated.shift()!)
  const time = timeOfId(m)
  const generation = time > at + clockSkewMs ? postdatedGeneration(postdated) : currentGeneration(filter)
  const hash = fnv1a32(m)
  const { bits } = generation
  const block = blockOf(bits, hash)
  const scattered = scatter(hash)
  const stride = (scattered >>> 9) | 1
  for (let i = 0, at = scattered; i < probes; i++, at += stride)
    bits[block + ((at >>> 5) & (blockWords - 1))]! |= 1 << (at & 31)
  generation.count++
  if (time > generation.youngest) generation.youngest = time
}

/** Returns the generation that takes the next id. Starts a new one when the last is full, and drops the oldest ones. */
const currentGeneration = (filter: MessageIdFilter): Generation => {
  const { generations } = filter
  const last = generations.at(-1)
  if (last !== undefined && last.count < capacityOf(last)) return last
  const next = generationAfter(last)
  generations.push(next)
  let others = generations.reduce((sum, generation) => sum + capacityOf(generation), 0)
  for (;;) {
    others -= capacityOf(generations[0]!)
    if (others < enough) return next
    drop(filter, generations.shift()!)
  }
}

const postdatedGeneration = (postdated: Generation[]): Generation => {
  const last = postdated.at(-1)
  if (last !== undefined && (last.count < capacityOf(last) || postdated.length === maxPostdated)) return last
  const next = generationAfter(last)
  postdated.push(next)
  return next
}

const generationAfter = (last: Generation | undefined): Generation => {
  const capacity = last === undefined ? firstCapacity : Math.min(capacityOf(last) * growth, lastCapacity)
  return { bits: new Uint32Array((capacity * bitsPerId) / 32), count: 0, youngest: -1 }
}

const drop = (filter: MessageIdFilter, { youngest }: Generation): void => {
  filter.dropped = Math.max(filter.dropped ?? -1, youngest)
}

/** Returns a filter that takes ids independently from here on. Only generations that can still change are copied. */
export const forkFilter = (filter: MessageIdFilter): MessageIdFilter => ({
  generations: forkGenerations(filter.generations),
  postdated: forkGenerations(filter.postdated),
  dropped: filter.dropped,
})

const forkGenerations = (generations: readonly Generation[]): Generation[] => {
  const forked = generations.slice()
  const last = forked.pop()
  if (last !== undefined) forked.push({ ...last, bits: last.bits.slice() })
  return forked
}

/** Memory of a filter, bytes. */
export const filterBytes = (filter: MessageIdFilter): number => {
  let bytes = 64
  for (const generation of filter.generations) bytes += generation.bits.byteLength + 128
  for (const generation of filter.postdated) bytes += generation.bits.byteLength + 128
  return bytes
}

/**
 * Whether the filter holds or has dropped a time after `at`, ms since 1970, allowing for clock skew. Postdated ids do
 * not count.
 */
export const isAhead = ({ generations, dropped = -1 }: MessageIdFilter, at: number): boolean =>
  Math.max(dropped, ...generations.map(({ youngest }) => youngest)) > at + clockSkewMs

interface SerialGeneration {
  /** Little-endian, base64. */
  bits: string
  count: number
  youngest: number
}

/** A filter as JSON. */
export interface SerialFilter {
  generations: SerialGeneration[]
  postdated?: SerialGeneration[]
  dropped?: number
}

export const serialiseFilter = ({ generations, postdated, dropped }: MessageIdFilter): SerialFilter => ({
  generations: generations.map(serialiseGeneration),
  ...(postdated.length === 0 ? {} : { postdated: postdated.map(serialiseGeneration) }),
  ...(dropped === undefined ? {} : { dropped }),
})

export const deserialiseFilter = ({
  generations,
  postdated = [],
  dropped,
}: SerialFilter): MessageIdFilter => ({
  generations: generations.map(deserialiseGeneration),
  postdated: postdated.map(deserialiseGeneration),
  dropped,
})

const serialiseGeneration = ({ bits, count, youngest }: Generation): SerialGeneration => ({
  bits: Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64'),
  count,
  youngest,
})

const deserialiseGeneration = ({ bits, count, youngest }: SerialGeneration): Generation => {
  const bytes = Buffer.from(bits, 'base64')
  const words = new Uint32Array(bytes.length / 4)
  new Uint8Array(words.buffer).set(bytes)
  return { bits: words, count, youngest }
}

const ulid = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * Returns the time in an id of the form of a UUIDv7 (RFC 9562) or a ULID, ms since 1970; -1 for an id of any other
 * form. The time is the client's claim: compare it with the server's time before relying on it.
 */
export const timeOfId = (id: string): number => {
  if (id.length === 36) {
    if (id[14] !== '7' || id[8] !== '-' || id[13] !== '-') return -1
    const time = Number.parseInt(id.slice(0, 8), 16) * 0x10000 + Number.parseInt(id.slice(9, 13), 16)
    return time >= 0 ? time : -1
  }
  if (id.length === 26 && ulid.test(id)) {
    let time = 0
    for (let i = 0; i < 10; i++) time = time * 32 + crockford.indexOf(id[i]!)
    return time
  }
  return -1
}
