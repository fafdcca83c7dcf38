import { ConfabError, Family, type Position, type StreamPosition } from '../../events/index.ts'

/**
 * The position of an event stream: for each stream of the log that holds conversations, the sequence up to which the
 * client has every event of its conversations. The entries are in the order of `LiveFeed.positions`. See docs/adr/0022.
 */
export type StreamCursor = Map<string, number>

/** First part of an id: the form of ids. From epoch 2 on the epoch follows: `2e3`. */
const version = '2'
/** Epoch, and sequences in the order of the streams. Base 36 keeps ids short: every event has one. */
const pattern = /^2(?:e([0-9a-z]{1,11}))?((?:\.[0-9a-z]{1,11}){1,256})$/
/** Form 1, which named the streams: `1.CONV_0.3f`. */
const namedPattern = /^1((?:\.[^.\s]{1,64}\.[0-9a-z]{1,11}){1,256})$/
/** A sequence that no stream reaches. */
const unreachable = Number.MAX_SAFE_INTEGER

/** Returns the cursor of a client that has every event up to these positions. */
export const cursorOf = (positions: readonly StreamPosition[]): StreamCursor => {
  const cursor: StreamCursor = new Map()
  for (const { family, stream, streamSeq } of positions)
    if (family === Family.conversation) cursor.set(stream, streamSeq)
  return cursor
}

/**
 * Returns the cursor as an event id: `2.3f.a0`; `2e3.3f.a0` in epoch 3.
 *
 * The id names no stream, so that it stays valid when a mirror with
 * another name is promoted: order and sequences stay the same.
 */
export const encodeCursor = (cursor: StreamCursor, epoch = 1): string => {
  let id = epoch > 1 ? `${version}e${epoch.toString(36)}` : version
  for (const streamSeq of cursor.values()) id += `.${streamSeq.toString(36)}`
  return id
}

/**
 * Returns the cursor of a `Last-Event-ID`. `positions` are those of this process's feed. Streams that were added
 * when partitions moved continue the streams that the id has. An id of another set of streams gives a cursor that no
 * node reaches: the client has to fetch its conversations again. Throws ConfabError BAD_REQUEST.
 */
export const decodeCursor = (id: string, positions: readonly StreamPosition[]): StreamCursor => {
  const parts = pattern.exec(id)?.[2]?.slice(1).split('.')
  const named = namedPattern.exec(id)?.[1]?.slice(1).split('.')
  if (parts === undefined && named === undefined)
    throw new ConfabError('BAD_REQUEST', 'Last-Event-ID: expected the id of an event of this stream.', {
      field: '/Last-Event-ID',
    })
  const conversations = positions.filter(({ family }) => family === Family.conversation)
  const streams = conversations.map(({ stream }) => stream)
  const sequences = parts ?? sequencesOf(named ?? [], streams)
  const isKnown = sequences.length > 0 && sequences.length <= streams.length
  const cursor: StreamCursor = new Map()
  for (const [index, { stream, origin }] of conversations.entries()) {
    const sequence = sequences[index]
    if (isKnown && sequence !== undefined) cursor.set(stream, Number.parseInt(sequence, 36))
    else cursor.set(stream, isKnown ? continued(origin, cursor) : unreachable)
  }
  return cursor
}

/** Returns the epoch of a `Last-Event-ID`. */
export const epochOfCursor = (id: string): number => Number.parseInt(pattern.exec(id)?.[1] ?? '1', 36)

/**
 * Returns the sequence up to which a client has the events of a stream, also of one that was added after the cursor was
 * made. `positions` are those of this process's feed.
 */
export const sequenceIn = (
  cursor: StreamCursor,
  stream: string,
  positions: readonly StreamPosition[],
): number => {
  const known = cursor.get(stream)
  if (known !== undefined) return known
  const origin = positions.find(position => position.stream === stream)?.origin
  return origin === undefined ? 0 : Math.min(sequenceIn(cursor, origin.stream, positions), origin.streamSeq)
}

/**
 * Returns the sequence in a stream that was added after the id was made. The stream holds the events of its origin up
 * to the end of its part there, under the same sequences.
 */
const continued = (origin: Position | undefined, cursor: StreamCursor): number => {
  const before = origin && cursor.get(origin.stream)
  return origin === undefined || before === undefined ? unreachable : Math.min(before, origin.streamSeq)
}

/** Whether a cursor is of another set of streams: no node reaches it. */
export const isUnreachable = (cursor: StreamCursor): boolean =>
  [...cursor.values()].some(streamSeq => streamSeq >= unreachable)

/** Returns the sequences of an id of form 1 in the order of the streams; none when it names other streams. */
const sequencesOf = (named: readonly string[], streams: readonly string[]): string[] => {
  const byName = new Map<string, string>()
  for (let i = 0; i < named.length; i += 2) byName.set(named[i]!, named[i + 1]!)
  const sequences = streams.slice(0, byName.size).flatMap(stream => byName.get(stream) ?? [])
  return sequences.length === byName.size ? sequences : []
}
