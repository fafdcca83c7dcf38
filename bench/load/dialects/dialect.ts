import type { Template } from '../frames.ts'
import type { SocketPlan } from '../jobs.ts'
import type { FrameListener, WireSocket } from '../wire-socket.ts'

/** What a frame is to the generator. */
export const Kind = { other: 0, ack: 1, refusal: 2, delivery: 3 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** What a client has to keep of a session to come back to it. */
export type Kept = Readonly<Record<string, string>>

/** A protocol over WebSockets, as far as the generator has to speak it: with next to no work a frame. */
export interface Dialect {
  readonly subprotocol?: string
  /** Says who it is, and takes part in the conversations of the plan where the server does not know them. All frames from now on are the listener's. */
  greet(wire: WireSocket, plan: SocketPlan, listener?: FrameListener): Promise<Kept>
  /** Gives the listener one message at a time; heartbeats are answered here. */
  listen(wire: WireSocket, listener: FrameListener): void
  template(c: string): Template
  kind(bytes: Buffer, start: number, end: number): Kind
  /** The number of the message that an ack or a refusal is for. */
  numberOf(bytes: Buffer, start: number, end: number): number
  /** What `greet` has to say to get what came after the last delivery, a frame of the session that `kept` is of. */
  placeAfter(last: string, kept: Kept): Readonly<Record<string, unknown>>
}

const patienceMs = 30_000

/** Resolves with the first message, as text, that `is` takes. All go to the listener, before and after it. Rejects after 30 s. */
export const firstMessage = (
  dialect: Pick<Dialect, 'listen'>,
  wire: WireSocket,
  is: (text: string) => boolean,
  listener: FrameListener = () => {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const limit = setTimeout(
      () => reject(new Error(`no answer within 30 s: ${wire.closed ?? 'open'}`)),
      patienceMs,
    )
    dialect.listen(wire, (bytes, start, end) => {
      listener(bytes, start, end)
      const text = bytes.toString('utf8', start, end)
      if (!is(text)) return
      clearTimeout(limit)
      dialect.listen(wire, listener)
      resolve(text)
    })
  })
