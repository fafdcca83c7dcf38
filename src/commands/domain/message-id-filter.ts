import { fnv1a32 } from '../../events/index.ts'

/**
 * Which message ids a conversation has seen, in bounded memory: says "never" for certain or "perhaps". Generations of Bloom filters, 16 bits an id, each four
 * times the size of the one before it up to 4,096 ids; the oldest is dropped when the others will do. So the last 12,000 to 16,000 ids are covered in 32 kB, and
 * small conversations pay for what they hold. An id's bits lie in one block of 64 bytes: one cache line a generation is touched, or a look would cost more than
 * all the rest of a decision. Of what was dropped only the highest time is kept: ids that carry their time and are younger were not among it.
 * @see Almeida et al., "Scalable Bloom Filters", 2007; Putze et al., "Cache-, Hash- and Space-Efficient Bloom Filters", 2007
 */
export interface MessageIdFilter {
  /** Oldest first; the last one takes what is added. */
  generations: Generation[]
  /** Highest time in a dropped id, ms since 1970, -1 where none carried one; undefined when nothing was dropped. */
  dropped: number | undefined
}

export interface Generation {
  readonly bits: Uint32Array
  count: number
  /** Highest time in an id of it, ms since 1970; -1 when none carried one. */
  youngest: number
}

const probes = 6
const bitsPerId = 16
const blockWords = 16
const firstCapacity = 256
const growth = 4
const lastCapacity = 4096
/** The oldest generation is dropped when the others hold as many without it. */
const enough = 4 * lastCapacity

export const emptyFilter = (): MessageIdFilter => ({ generations: [], dropped: undefined })

const capacityOf = (generation: Generation): number => (generation.bits.length * 32) / bitsPerId

/** A second hash from the first: the finaliser of MurmurHash3. */
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

/** False: the conversation has never had a message of this id. True: perhaps it has. */
export const mayHaveSeen = (filter: MessageIdFilter, m: string): boolean => {
  const time = timeOfId(m)
  if (filter.dropped !== undefined && !(time > filter.dropped)) return true
  const hash = fnv1a32(m)
  const scattered = scatter(hash)
  for (let i = filter.generations.length - 1; i >= 0; i--) {
    // Nor was it among those that are all older: bits may err, times do not. A wrong "perhaps" has the log read.
    const { bits, youngest } = filter.generations[i]!
    if (time <= youngest && holds(bits, hash, scattered)) return true
  }
  return false
}

/** Changes the filter in place. */
export const addToFilter = (filter: MessageIdFilter, m: string): void => {
  const { generations } = filter
  let last = generations[generations.length - 1]
  if (last === undefined || last.count >= capacityOf(last)) {
    const capacity = last === undefined ? firstCapacity : Math.min(capacityOf(last) * growth, lastCapacity)
    last = { bits: new Uint32Array((capacity * bitsPerId) / 32), count: 0, youngest: -1 }
    generations.push(last)
    let others = generations.reduce((sum, generation) => sum + capacityOf(generation), 0)
    for (;;) {
      others -= capacityOf(generations[0]!)
      if (others < enough) break
      filter.dropped = Math.max(filter.dropped ?? -1, generations.shift()!.youngest)
    }
  }
  const hash = fnv1a32(m)
  const { bits } = last
  const block = blockOf(bits, hash)
  const scattered = scatter(hash)
  const stride = (scattered >>> 9) | 1
  for (let i = 0, at = scattered; i < probes; i++, at += stride)
    bits[block + ((at >>> 5) & (blockWords - 1))]! |= 1 << (at & 31)
  last.count++
  const time = timeOfId(m)
  if (time > last.youngest) last.youngest = time
}

/** A filter that takes ids on its own from here; only what can still change is copied. */
export const forkFilter = (filter: MessageIdFilter): MessageIdFilter => {
  const generations = filter.generations.slice()
  const last = generations.pop()
  if (last !== undefined) generations.push({ ...last, bits: last.bits.slice() })
  return { generations, dropped: filter.dropped }
}

/** Memory, bytes. */
export const filterBytes = (filter: MessageIdFilter): number => {
  let bytes = 64
  for (const generation of filter.generations) bytes += generation.bits.byteLength + 128
  return bytes
}

/** As JSON: the bits little-endian, base64. */
export type SerialFilter = {
  generations: { bits: string; count: number; youngest: number }[]
  dropped?: number
}

export const serialiseFilter = ({ generations, dropped }: MessageIdFilter): SerialFilter => ({
  generations: generations.map(({ bits, count, youngest }) => ({
    bits: Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength).toString('base64'),
    count,
    youngest,
  })),
  ...(dropped === undefined ? {} : { dropped }),
})

export const deserialiseFilter = (serial: SerialFilter): MessageIdFilter => ({
  generations: serial.generations.map(({ bits, count, youngest }) => {
    const bytes = Buffer.from(bits, 'base64')
    const words = new Uint32Array(bytes.length / 4)
    new Uint8Array(words.buffer).set(bytes)
    return { bits: words, count, youngest }
  }),
  dropped: serial.dropped,
})

const ulid = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * The time that an id carries, ms since 1970, when it has the form of a UUIDv7 (RFC 9562) or a ULID; -1 otherwise. Nothing depends on its being true: it is a
 * number that goes with the id, by which ids made later can be told from older ones.
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
