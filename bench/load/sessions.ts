import { setTimeout as wait } from 'node:timers/promises'
import { clientFrame } from './frames.ts'
import type { ConversationPlan, SocketPlan } from './jobs.ts'
import { WireSocket } from './wire-socket.ts'

interface Frame {
  readonly re?: string
  readonly ok?: boolean
  readonly t?: string
}

/** Sends one request and waits for its answer; events that come meanwhile, and until another listens, go to `onEvent`. */
const ask = (
  wire: WireSocket,
  request: { id: string; t: string; [field: string]: unknown },
  onEvent: () => void = () => {},
): Promise<void> =>
  new Promise((resolve, reject) => {
    const limit = setTimeout(
      () => reject(new Error(`no answer to ${request.id}: ${wire.closed ?? 'open'}`)),
      30_000,
    )
    wire.onFrame = (bytes, start, end) => {
      const frame = JSON.parse(bytes.toString('utf8', start, end)) as Frame
      if (frame.t === 'event') onEvent()
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

/** Creates conversations; resolves when all of their members' sockets have been told. Socket n is user n's. */
export const createConversations = async (
  sockets: readonly WireSocket[],
  plans: readonly ConversationPlan[],
): Promise<void> => {
  let told = 0
  const onEvent = () => {
    told++
  }
  for (const wire of sockets)
    wire.onFrame = (bytes, start) => {
      if (bytes.toString('latin1', start, start + 12) === '{"t":"event"') onEvent()
    }
  const bySocket = Map.groupBy(plans, plan => plan.by)
  await each([...bySocket], 64, async ([by, own]) => {
    for (const { c, kind, members } of own)
      await ask(sockets[by]!, { id: `create-${c}`, t: 'create', c, kind, members }, onEvent)
  })
  const due = plans.reduce((sum, { members }) => sum + members.length, 0)
  const limit = performance.now() + 30_000
  while (told < due) {
    if (performance.now() > limit) throw new Error(`of ${due} news of conversations ${told} came`)
    await wait(5)
  }
}
