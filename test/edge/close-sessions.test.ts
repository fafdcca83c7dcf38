import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { v7 } from 'uuid'
import {
  closeOverdue,
  DeviceSessions,
  deadlineIn,
  deadlineOfToken,
} from '../../src/edge/sessions/close-sessions.ts'
import { Session } from '../../src/edge/sessions/session.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import { CloseCode } from '../../src/events/index.ts'

const hour = 3_600_000

/** Nodes whose signals reach each other in the next turn, as over NATS. */
const startNodes = (count: number) => {
  const nodes = Array.from({ length: count }, () => {
    const registry = new SessionRegistry()
    const publish = (_user: string, signal: unknown): void =>
      queueMicrotask(() => {
        for (const { devices } of nodes) devices.receive(signal)
      })
    return { registry, devices: new DeviceSessions({ publish, listen: () => {} }, registry) }
  })
  return nodes
}

/** Opens a session of alice's phone at a node whose clock is ahead by some ms. Returns its close code, 0 while open. */
const open = ({ registry, devices }: ReturnType<typeof startNodes>[number], aheadMs = 0) => {
  const session = new Session('json', undefined, 0)
  let code = 0
  session.user = 'alice'
  session.device = 'phone'
  session.phase = 'open'
  session.id = v7({ msecs: Date.now() + aheadMs })
  session.ws = {
    send: () => 1,
    cork: send => send(),
    getBufferedAmount: () => 0,
    subscribe: () => {},
    unsubscribe: () => {},
    end: closed => {
      code = closed
      session.phase = 'closed'
      registry.closed(session)
    },
  }
  registry.opened(session)
  devices.opened(session)
  return { session, code: () => code }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

t.test('a new session of a device replaces an older one, at any node, whatever the clocks say', async t => {
  for (const aheadMs of [-hour, -60_000, 0, 60_000, hour]) {
    const [here, there] = startNodes(2)
    const older = open(here!, aheadMs)
    await turn()
    older.session.openedAt -= 20_000
    const newer = open(there!)
    await turn()
    t.equal(older.code(), CloseCode.replaced, `${aheadMs}`)
    t.equal(newer.code(), 0, `${aheadMs}`)
  }
})

t.test('of two sessions whose announcements cross each other, the one with the higher id stays', async t => {
  const [here, there] = startNodes(2)
  const [one, two] = [open(here!, 0), open(there!, 50)]
  await turn()
  t.same([one.code(), two.code()], [CloseCode.replaced, 0])
})

t.test('a clock that is set neither ends a session early nor extends a deadline', async t => {
  const registry = new SessionRegistry()
  const ended = (deadline: number): boolean => {
    const session = new Session('json', undefined, deadline)
    session.ws = { end: () => {} } as unknown as Session['ws']
    let hasEnded = false
    closeOverdue([session], () => {
      hasEnded = true
    })
    registry.closed(session)
    return hasEnded
  }
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const [soon, later, never] = [deadlineIn(-2_000), deadlineIn(hour), deadlineOfToken(0)]
  const token = deadlineOfToken(Date.now() / 1_000 + 3_600)
  // Deadlines are whole seconds from 1 on.
  while (performance.now() < 1_000) await sleep(20)
  for (const shift of [-2 * hour, 0, 2 * hour]) {
    Date.now = () => now() + shift
    t.same([soon, later, never, token].map(ended), [true, false, false, false], `${shift}`)
  }
})
