import { ConfabError, type Position } from '../../events/index.ts'

/**
 * The cursor of an event stream: for each stream of the log that holds conversations, the stream sequence up to which
 * the client has received every event of its conversations. All event streams that are level with a node have the same
 * cursor, and its size does not depend on the number of conversations; see docs/adr/0022.
 */
export type StreamCursor = Map<string, number>

/** Version of the id. It is raised with the epoch and with the format of the id. */
const version = '1'
/** Names of streams have neither dots nor spaces. Base 36 keeps ids short: every event carries one. */
const pattern = /^1((?:\.[^.\s]{1,64}\.[0-9a-z]{1,11}){1,256})$/

export const cursorOf = (positions: readonly Position[]): StreamCursor =>
  new Map(
    positions
      .filter(({ stream }) => stream.startsWith('CONV_'))
      .map(({ stream, streamSeq }) => [stream, streamSeq] as const),
  )

/** Returns a cursor as the `id` of an event. Clients send it back as `Last-Event-ID`. */
export const encodeCursor = (cursor: StreamCursor): string => {
  let id = version
  for (const [stream, streamSeq] of cursor) id += `.${stream}.${streamSeq.toString(36)}`
  return id
}

/** Returns the cursor of a `Last-Event-ID`. Throws ConfabError BAD_REQUEST when it is not one of confab's ids. */
export const decodeCursor = (id: string): StreamCursor => {
  const parts = pattern.exec(id)?.[1]?.split('.')
  if (parts === undefined)
    throw new ConfabError(
      'BAD_REQUEST',
      'Last-Event-ID: not an id of this stream. Send the last id that the stream sent, or none.',
      {
        field: '/Last-Event-ID',
      },
    )
  const cursor: StreamCursor = new Map()
  for (let i = 1; i < parts.length; i += 2) cursor.set(parts[i]!, Number.parseInt(parts[i + 1]!, 36))
  return cursor
}
