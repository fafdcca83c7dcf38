import { firstMessage } from './dialects/dialect.ts'
import { clientFrame } from './frames.ts'
import type { FrameListener, WireSocket } from './wire-socket.ts'

interface Answer {
  readonly ok: boolean
  readonly error?: { readonly code: string; readonly retryable: boolean; readonly retryAfterMs?: number }
}

/** Thrown when a request was refused. `retryAfterMs` is set when it may be retried. */
export class Refused extends Error {
  readonly retryAfterMs: number | undefined

  constructor(type: string, { error }: Answer) {
    super(`${type} was refused: ${JSON.stringify(error)}`)
    this.retryAfterMs = error?.retryable === true ? (error.retryAfterMs ?? 0) : undefined
  }

  static is = (error: unknown): error is Refused => error instanceof Refused
}

export const listenRaw = (wire: WireSocket, listener: FrameListener): void => {
  wire.onFrame = listener
}

/** Sends one confab request and waits for its answer; all frames, the answer included, go to the listener. */
export const ask = async (
  wire: WireSocket,
  request: { readonly id: string; readonly t: string; readonly [field: string]: unknown },
  listener?: FrameListener,
): Promise<void> => {
  const start = `{"re":"${request.id}",`
  const answered = firstMessage({ listen: listenRaw }, wire, text => text.startsWith(start), listener)
  wire.write(clientFrame(Buffer.from(JSON.stringify(request))))
  const answer = JSON.parse(await answered) as Answer
  if (!answer.ok) throw new Refused(request.t, answer)
}

/** Runs `work` for every item, at most `width` at once. */
export const each = async <T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> => {
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const index = next++
      await work(items[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
}
