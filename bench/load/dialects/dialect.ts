import type { Template } from '../frames.ts'
import type { SocketPlan } from '../jobs.ts'
import type { FrameListener, WireSocket } from '../wire-socket.ts'

/** The generator's classification of frames. */
export const Kind = { other: 0, ack: 1, refusal: 2, delivery: 3 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** State of a session that a client needs to resume it. */
export type Kept = Readonly<Record<string, string>>

/** A WebSocket protocol as far as the generator needs it, with minimal work per frame. */
export interface Dialect {
  readonly subprotocol?: string
  /**
   * Authenticates, and joins the plan's conversations where the server does not know them. Later frames go to the
   * listener.
   */
  greet(wire: WireSocket, plan: SocketPlan, listener?: FrameListener): Promise<Kept>
  /** Passes messages to the listener one at a time, and answers heartbeats. */
  listen(wire: WireSocket, listener: FrameListener): void
  template(c: string): Template
  kind(bytes: Buffer, start: number, end: number): Kind
  /** Returns the number of the message that an ack or refusal refers to. */
  numberOf(bytes: Buffer, start: number, end: number): number
  /** Returns the fields with which `greet` resumes after the last delivery, a frame of the session of `kept`. */
  placeAfter(last: string, kept: Kept): Readonly<Record<string, unknown>>
}

const waitMs = 30_000

/**
 * Resolves with the first message, as text, that `is` accepts. All messages go to the listener too. Rejects after 30
 * s.
 */
export const firstMessage = (
  dialect: Pick<Dialect, 'listen'>,
  wire: WireSocket,
  is: (text: string) => boolean,
  listener: FrameListener = () => {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const limit = setTimeout(
      () => reject(new Error(`no answer within 30 s: ${wire.closed ?? 'open'}`)),
      waitMs,
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
