import { clientFrame } from './frames.ts'
import type { ConversationPlan, SocketPlan } from './jobs.ts'
import { WireSocket } from './wire-socket.ts'

interface Answer {
  readonly re?: string
  readonly ok?: boolean
}

/** Sends one request and waits for its answer; whatever else comes is passed over. */
const ask = (wire: WireSocket, request: { id: string; [field: string]: unknown }): Promise<void> =>
  new Promise((resolve, reject) => {
    const limit = setTimeout(
      () => reject(new Error(`no answer to ${request.id}: ${wire.closed ?? 'open'}`)),
      30_000,
    )
    wire.onFrame = (bytes, start, end) => {
      const frame = JSON.parse(bytes.toString('utf8', start, end)) as Answer
      if (frame.re !== request.id) return
      clearTimeout(limit)
      if (frame.ok === true) resolve()
      else reject(new Error(`${request.t} was refused: ${bytes.toString('utf8', start, end)}`))
    }
    wire.write(clientFrame(Buffer.from(JSON.stringify(request))))
  })

/** Runs `work` for every item, at most `width` at once. */
const each = async <T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
) => {
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const index = next++
      await work(items[index]!, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane))
}

export const openSockets = async (
  port: number,
  plans: readonly SocketPlan[],
  hello: boolean,
): Promise<WireSocket[]> => {
  const sockets: WireSocket[] = []
  await each(plans, 64, async (plan, index) => {
    const wire = await WireSocket.open(port, plan.path, hello ? 'confab.v1.json' : undefined)
    sockets[index] = wire
    if (hello) await ask(wire, { id: 'hello', t: 'hello', token: plan.token })
  })
  return sockets
}

export const createConversations = async (
  sockets: readonly WireSocket[],
  plans: readonly ConversationPlan[],
): Promise<void> => {
  const bySocket = Map.groupBy(plans, plan => plan.by)
  await each([...bySocket], 64, async ([by, own]) => {
    for (const { c, kind, members } of own)
      await ask(sockets[by]!, { id: `create-${c}`, t: 'create', c, kind, members })
  })
}
