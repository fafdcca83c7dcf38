import { ConfabError, type Position } from '../../events/index.ts'

/**
 * How far an event stream has come: of each stream of the log that holds conversations, the sequence number up to which it has every event of its user. It
 * is the same for whoever has all that a node has delivered, as long as there are streams, whatever the number of conversations; see docs/adr/0022.
 */
export type StreamCursor = Map<string, number>

/** Of the id: raised with the epoch, and with its form. */
const version = '1'
/** Names of streams have neither dots nor spaces. Base 36 keeps ids short: there is one with every event. */
const pattern = /^1((?:\.[^.\s]{1,64}\.[0-9a-z]{1,11}){1,256})$/

export const cursorOf = (positions: readonly Position[]): StreamCursor =>
  new Map(
    positions
      .filter(({ stream }) => stream.startsWith('CONV_'))
      .map(({ stream, streamSeq }) => [stream, streamSeq] as const),
  )

/** For `id:`, and back as `Last-Event-ID`. */
export const encodeCursor = (place: StreamCursor): string => {
  let id = version
  for (const [stream, streamSeq] of place) id += `.${stream}.${streamSeq.toString(36)}`
  return id
}

/** Throws ConfabError BAD_REQUEST. */
export const decodeCursor = (id: string): StreamCursor => {
  const parts = pattern.exec(id)?.[1]?.split('.')
  if (parts === undefined)
    throw new ConfabError('BAD_REQUEST', 'Last-Event-ID: expected an id of this stream.', {
      field: '/Last-Event-ID',
    })
  const place: StreamCursor = new Map()
  for (let i = 1; i < parts.length; i += 2) place.set(parts[i]!, Number.parseInt(parts[i + 1]!, 36))
  return place
}
