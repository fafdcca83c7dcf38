import { setTimeout as sleep } from 'node:timers/promises'
import { connectNats } from '../../src/infra/nats/client/connection.ts'
import { urlOf } from '../harness/nats-users.ts'
import { Outsider } from '../harness/outsider.ts'
import { RawClient } from '../harness/raw-client.ts'
import {
  type Asserts,
  type Cuts,
  checkAcks,
  checkClients,
  checkLogs,
  type Found,
  type Lost,
  longestPause,
} from './checks.ts'
import { now } from './clock.ts'
import { type Delays, measureDelays } from './delays.ts'
import { type DrilledSystem, startDrilledSystem } from './drilled-system.ts'
import { Sender, type TimedAck } from './sender.ts'

export interface DrillOptions {
  /** One way between the regions, ms. */
  readonly delayMs: number
  /** Clients of each region that send. */
  readonly senders: number
  /** Pause of each client after an ack, ms. */
  readonly pauseMs: number
  /** Duration of the load before the cut, in which delays are measured, and of each later stretch, ms. */
  readonly stretchMs: number
  /** Receives progress. */
  readonly onProgress: (what: string) => void
}

/** A change of homes as the command line reports it. */
interface Change {
  readonly steps: readonly { readonly step: string; readonly at: string; readonly ms: number }[]
  readonly cut: Cuts
  readonly refusedMs?: Readonly<Record<string, number>>
}

/** A moment of the drill, ms since 1970. */
export interface Moment {
  readonly what: string
  readonly at: number
}

export interface DrillResult {
  readonly options: DrillOptions
  readonly found: Found
  readonly delays: Delays
  readonly moments: readonly Moment[]
  /** Time from the cut to the first ack of the new home, ms, and its parts in order. */
  readonly recovery: {
    readonly ms: number
    readonly parts: readonly { readonly name: string; readonly ms: number }[]
  }
  /** Acks of the old home from the cut to the end of its lease, ms. */
  readonly ackedAfterCutMs: number
  readonly rejoinMs: number
  /** Time without writes in a switch-over, ms: as the command reports it, and as clients saw it. */
  readonly switchOver: { readonly refusedMs: number; readonly pauseMs: number }
}

const watcherName = 'watcher'
/** Members of a conversation who send, from each region. */
const sendersPerConversation = 2
const probeEveryMs = 100
/** Time without an answer after which the detector reports a region as lost, ms. */
const lostAfterMs = 1_000

/** Resolves when the servers behind a port are silent for a second. */
const untilLost = async (port: number): Promise<void> => {
  const nats = await connectNats({ servers: urlOf(port, 'operator'), name: 'detector' })
  try {
    for (;;) {
      const answered = nats.connection.flush().then(
        () => true,
        () => false,
      )
      if (!(await Promise.race([answered, sleep(lostAfterMs, false)]))) return
      await sleep(probeEveryMs)
    }
  } finally {
    void nats.close().catch(() => {})
  }
}

const startSenders = async (
  t: Asserts & { teardown(fn: () => unknown): void },
  system: DrilledSystem,
  { senders, pauseMs }: DrillOptions,
  acked: TimedAck[],
): Promise<{ senders: Sender[]; watcher: Outsider }> => {
  const usersOf = (region: string) => Array.from({ length: senders }, (_, n) => `${region}${n}`)
  const groups = Math.ceil(senders / sendersPerConversation)
  const conversations = Array.from({ length: groups }, (_, n) => `c${n}`)
  const edge = system.edge('a')
  const creator = await RawClient.open(`${edge.url.replace('http', 'ws')}/v1/ws`)
  await creator.ok('hello', { token: await edge.token(watcherName), device: 'creator' })
  const isIn = (c: string) => (_: string, n: number) => `c${n % groups}` === c
  for (const c of conversations) {
    const members = [...usersOf('a').filter(isIn(c)), ...usersOf('b').filter(isIn(c))]
    await creator.ok('create', { c, kind: 'group', members, key: 'create' })
  }
  creator.close()
  const watcher = new Outsider(watcherName, [system.edge('b').url], await edge.token(watcherName))
  for (const c of conversations) watcher.expect(c)
  t.teardown(() => watcher.stop())
  const started: Sender[] = []
  for (const region of ['a', 'b'])
    for (const [n, user] of usersOf(region).entries())
      started.push(
        new Sender({
          user,
          token: await edge.token(user),
          conversations: [`c${n % groups}`],
          region,
          edges: system.edges,
          pauseMs,
          onAck: ack => acked.push(ack),
        }),
      )
  return { senders: started, watcher }
}

/** Returns start and end of a step, ms since 1970. */
const spanOf = ({ steps }: Change, step: string): { from: number; to: number } => {
  const found = steps.filter(one => one.step === step)
  return {
    from: Math.min(...found.map(({ at }) => Date.parse(at))),
    to: Math.max(...found.map(({ at, ms }) => Date.parse(at) + ms)),
  }
}

/**
 * Runs a drill: load in two regions, a black hole around region a, a failover, the return of region a, and a
 * switch-over back, all under load. Then compares what clients had acknowledged with the log, the list of lost events
 * and the views. `t` receives the results of the comparison.
 */
export const runDrill = async (
  t: Asserts & { teardown(fn: () => unknown): void },
  options: DrillOptions,
): Promise<DrillResult> => {
  const { delayMs, stretchMs, onProgress } = options
  const moments: Moment[] = []
  const mark = (what: string): number => {
    const at = now()
    moments.push({ what, at })
    onProgress(what)
    return at
  }
  onProgress('two regions and a witness start')
  const system = await startDrilledSystem(t, delayMs)
  const acked: TimedAck[] = []
  const { senders, watcher } = await startSenders(t, system, options, acked)
  mark('load starts')
  // Connections and caches.
  await sleep(stretchMs / 2)
  const delays = await measureDelays(system.servers, stretchMs)

  const lost = untilLost(system.operatorPort)
  await sleep(2 * probeEveryMs)
  system.blackHole(true)
  const cutAt = mark('black hole around a')
  await lost
  const detectedAt = mark('detector: a is lost; failover to b starts')
  const failover = JSON.parse(
    (await system.operator('region', 'failover', '--all', '--to', 'b', '--yes', '--json')).stdout,
  ) as Change
  mark('failover ends')
  await sleep(stretchMs)

  system.blackHole(false)
  const healedAt = mark('black hole ends; rejoin of a starts')
  await system.operator('region', 'rejoin', 'a', '--yes')
  const rejoinedAt = mark('rejoin ends; processes of a start with empty views')
  await system.restartA()
  for (const sender of senders) sender.return()
  const { lost: listed } = JSON.parse((await system.operator('region', 'lost', 'ls', '--json')).stdout) as {
    lost: Lost[]
  }
  await sleep(stretchMs)

  const switchedAt = mark('switch-over to a starts')
  const switchOver = JSON.parse(
    (await system.operator('region', 'switch-over', '--all', '--to', 'a', '--yes', '--json')).stdout,
  ) as Change
  mark('switch-over ends')
  await sleep(stretchMs)
  const endedAt = mark('load ends')
  await Promise.all(senders.map(sender => sender.end()))

  onProgress('compare logs, acks, clients and views')
  const log = await checkLogs(t, system)
  const found = checkAcks(t, log, acked, listed, { failover: failover.cut, switchOver: switchOver.cut })
  const users = [watcherName, 'a0', 'b0']
  await checkClients(t, system, log, [watcher], users)
  await system.operator('region', 'status', '--hash', '10000')

  const firstAt = found.acksOf.b[0]?.at ?? Number.NaN
  const [raise, wait, promote, open] = ['raise', 'wait', 'promote', 'open'].map(step =>
    spanOf(failover, step),
  )
  if (raise === undefined || wait === undefined || promote === undefined || open === undefined)
    throw new Error('the failover has not all steps')
  const lastOfA = found.acksOf.a.findLast(({ at }) => at < firstAt)?.at ?? cutAt
  return {
    options,
    found,
    delays,
    moments,
    recovery: {
      ms: firstAt - cutAt,
      parts: [
        { name: 'detection', ms: detectedAt - cutAt },
        { name: 'start of the command, plan', ms: raise.from - detectedAt },
        { name: 'raise', ms: wait.from - raise.from },
        { name: 'wait: lease and guard', ms: promote.from - wait.from },
        { name: 'promote, open', ms: open.to - promote.from },
        { name: 'lease of b, first ack', ms: firstAt - open.to },
      ],
    },
    ackedAfterCutMs: Math.max(0, lastOfA - cutAt),
    rejoinMs: rejoinedAt - healedAt,
    switchOver: {
      refusedMs: Math.max(...Object.values(switchOver.refusedMs ?? {})),
      pauseMs: longestPause(acked, switchedAt, endedAt),
    },
  }
}
