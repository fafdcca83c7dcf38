import { ConfabError, Family, type StreamPosition } from '../../events/index.ts'

/**
 * The position of an event stream: for each stream of the log that holds conversations, the sequence up to which the
 * client has every event of its conversations. The entries are in the order of `LiveFeed.positions`. See docs/adr/0022.
 */
export type StreamCursor = Map<string, number>

/** First part of an id, raised with the epoch and with the form of ids. */
const version = '2'
/** Sequences in the order of the streams. Base 36 keeps ids short: every event has one. */
const pattern = /^2((?:\.[0-9a-z]{1,11}){1,256})$/
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
 * Returns the cursor as an event id: `2.3f.a0`. The id names no stream, so that it stays valid when a mirror with
 * another name is promoted: order and sequences stay the same.
 */
export const encodeCursor = (cursor: StreamCursor): string => {
  let id = version
  for (const streamSeq of cursor.values()) id += `.${streamSeq.toString(36)}`
  return id
}

/**
 * Returns the cursor of a `Last-Event-ID`. `positions` are those of this process's feed. An id of another set of
 * streams gives a cursor that no node reaches: the client has to fetch its conversations again. Throws ConfabError
 * BAD_REQUEST.
 */
export const decodeCursor = (id: string, positions: readonly StreamPosition[]): StreamCursor => {
  const parts = pattern.exec(id)?.[1]?.slice(1).split('.')
  const named = namedPattern.exec(id)?.[1]?.slice(1).split('.')
  if (parts === undefined && named === undefined)
    throw new ConfabError('BAD_REQUEST', 'Last-Event-ID: expected the id of an event of this stream.', {
      field: '/Last-Event-ID',
    })
  const cursor = cursorOf(positions)
  const streams = [...cursor.keys()]
  const sequences = parts ?? sequencesOf(named ?? [], streams)
  const isComplete = sequences.length === streams.length
  for (const [index, stream] of streams.entries())
    cursor.set(stream, isComplete ? Number.parseInt(sequences[index]!, 36) : unreachable)
  return cursor
}

/** Whether a cursor is of another set of streams: no node reaches it. */
export const isUnreachable = (cursor: StreamCursor): boolean =>
  [...cursor.values()].some(streamSeq => streamSeq >= unreachable)

/** Returns the sequences of an id of form 1 in the order of the streams; none when it names other streams. */
const sequencesOf = (named: readonly string[], streams: readonly string[]): string[] => {
  const byName = new Map<string, string>()
  for (let i = 0; i < named.length; i += 2) byName.set(named[i]!, named[i + 1]!)
  if (byName.size !== streams.length) return []
  return streams.flatMap(stream => byName.get(stream) ?? [])
}
