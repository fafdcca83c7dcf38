import { setTimeout as wait } from 'node:timers/promises'
import { type Dialect, type Kept, Kind } from './dialects/index.ts'
import { clientFrame } from './frames.ts'
import type { ConversationPlan, LargePlan, SocketPlan } from './jobs.ts'
import { ask, each, Refused } from './requests.ts'
import { type FrameListener, WireSocket } from './wire-socket.ts'

/** An open socket with the state for resuming it. */
export interface Opened {
  readonly wire: WireSocket
  readonly kept: Kept
}

/** Connects and sends hello; retries later as often as the server asks, and reports it through `onRetry`. */
export const openSocket = async (
  port: number,
  plan: SocketPlan,
  dialect: Dialect,
  hello: boolean,
  listener?: FrameListener,
  onRetry: () => void = () => {},
): Promise<Opened> => {
  for (;;) {
    const wire = await WireSocket.open(port, plan.path, hello ? dialect.subprotocol : undefined, plan.ca)
    try {
      return { wire, kept: hello ? await dialect.greet(wire, plan, listener) : {} }
    } catch (error) {
      wire.close()
      if (!Refused.is(error) || error.retryAfterMs === undefined) throw error
      onRetry()
      await wait(error.retryAfterMs)
    }
  }
}

/** `width`: sockets that connect at the same time. */
export const openSockets = async (
  port: number,
  plans: readonly SocketPlan[],
  dialect: Dialect,
  hello: boolean,
  width = 64,
): Promise<Opened[]> => {
  const opened: Opened[] = []
  await each(plans, width, async (plan, index) => {
    opened[index] = await openSocket(port, plan, dialect, hello)
  })
  return opened
}

const untilTold = async (told: () => number, due: number): Promise<void> => {
  const limit = performance.now() + 60_000
  while (told() < due) {
    if (performance.now() > limit) throw new Error(`of ${due} notices of conversations ${told()} arrived`)
    await wait(5)
  }
}

/**
 * Creates conversations; resolves when their local members (all, unless the plan gives a number) were notified.
 * Socket n belongs to user n.
 */
export const createConversations = async (
  sockets: readonly WireSocket[],
  plans: readonly ConversationPlan[],
): Promise<void> => {
  let told = 0
  const onFrame: FrameListener = (bytes, start) => {
    if (bytes.toString('latin1', start, start + 12) === '{"t":"event"') told++
  }
  for (const wire of sockets) wire.onFrame = onFrame
  const bySocket = Map.groupBy(plans, plan => plan.by)
  await each([...bySocket], 64, async ([by, own]) => {
    for (const { c, kind, members } of own)
      await ask(sockets[by]!, { id: `create-${c}`, t: 'create', c, kind, members }, onFrame)
  })
  await untilTold(
    () => told,
    plans.reduce((sum, { members, here }) => sum + (here ?? members.length), 0),
  )
}

const invitesAtOnce = 400

/**
 * Creates a conversation of more members than one `create` may name: the first socket's user creates it and invites
 * the rest, and should be the only connected one.
 */
export const createLarge = async (
  wire: WireSocket,
  { c, members, first, dialect }: LargePlan & { readonly dialect: Dialect },
): Promise<void> => {
  await ask(wire, { id: 'create', t: 'create', c, kind: 'channel', members: members.slice(0, first) })
  const invited = members.slice(first)
  let asked = 0
  let answered = 0
  let fault: string | undefined
  const more = () => {
    while (asked < invited.length && asked - answered < invitesAtOnce) {
      const id = String(asked).padStart(8, '0')
      wire.write(clientFrame(Buffer.from(JSON.stringify({ id, t: 'invite', c, user: invited[asked++] }))))
    }
  }
  wire.onFrame = (bytes, start, end) => {
    const kind = dialect.kind(bytes, start, end)
    if (kind === Kind.refusal) fault ??= bytes.toString('utf8', start, end)
    if (kind !== Kind.ack) return
    answered++
    more()
  }
  more()
  await untilTold(() => (fault === undefined ? answered : invited.length), invited.length)
  if (fault !== undefined) throw new Error(`an invitation was refused: ${fault}`)
}
