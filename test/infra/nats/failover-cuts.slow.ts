import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Family } from '../../../src/events/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { MirrorTooFarBehindError } from '../../../src/infra/nats/regions/change-home.ts'
import { NoMajorityError } from '../../../src/infra/nats/regions/region-journal.ts'
import { isFrozen } from '../../../src/infra/nats/regions/stream-moves.ts'
import { startProxy } from '../../harness/nats-proxy.ts'
import { applied, startRegions } from '../../harness/nats-regions.ts'
import {
  changeHomes,
  checkRegions,
  homeIn,
  Operator,
  type OperatorOptions,
  resumeHomes,
} from '../../harness/region-operator.ts'
import { NaiveClient, openWriter, untilLease } from '../../harness/region-writer.ts'

const servers = await startRegions(t, { delayMs: 5 })
const open = await applied(servers)
const writers = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
const writerOf = (region: string) => writers.find(one => one.region === region)!
await untilLease(writerOf('a'), 'CONV_0')
const clients = Array.from(
  { length: 4 },
  (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, writers, 20),
)

/** Waits until each client has two more acks, by writers of one region. */
const untilAckedBy = async (region: string): Promise<void> => {
  const count = ({ acked }: NaiveClient): number => acked.filter(one => one.region === region).length
  const before = clients.map(count)
  while (clients.some((client, n) => count(client) < before[n]! + 2)) await sleep(10)
}

const hold = (region: string, held: boolean): void => servers.region(region).link.hold(held)
const leaseMs = servers.topology.lease.timeMs

t.test('without the witness, leases and a failover work', async t => {
  hold('c', true)
  await sleep(leaseMs + 500)
  await untilAckedBy('a')
  await changeHomes(servers, { kind: 'failover', to: 'b' }, { regions: ['a', 'b'] })
  await untilAckedBy('b')
  hold('c', false)
  await changeHomes(servers, { kind: 'rejoin', to: 'a' })
  await checkRegions(t, servers, open, clients, 'after')
})

t.test('with one region of three, a failover needs the word that the others are off', async t => {
  hold('b', true)
  hold('c', true)
  const failover = (fenced: readonly string[]) =>
    changeHomes(servers, { kind: 'failover', to: 'a' }, { regions: ['a'], fenced })
  for (const fenced of [[], ['b']])
    t.ok((await failover(fenced).catch((error: unknown) => error)) instanceof NoMajorityError, fenced.join())
  await failover(['b', 'c'])
  await untilAckedBy('a')
  t.equal(writerOf('b').lease.epochOf('CONV_0'), undefined)
  hold('b', false)
  hold('c', false)
  await changeHomes(servers, { kind: 'rejoin', to: 'b' })
  await changeHomes(servers, { kind: 'rejoin', to: 'c' })
  await untilAckedBy('a')
  await checkRegions(t, servers, open, clients, 'after')
  // Each region counts again.
  hold('b', true)
  await sleep(leaseMs + 500)
  await untilAckedBy('a')
  hold('c', true)
  await untilLease(writerOf('a'), 'CONV_0', false)
  hold('b', false)
  hold('c', false)
  await untilAckedBy('a')
})

/** Begins a switch-over, and cuts something when the old home was frozen. Resolves with its error. */
const cutSwitchOver = async (
  to: string,
  cut: () => void,
  options: OperatorOptions = {},
): Promise<unknown> => {
  const operator = await Operator.start(servers, options)
  await operator.begin({ kind: 'switch-over', to })
  try {
    await operator.run({
      onStep: step => {
        if (step === 'marker') cut()
      },
    })
    return undefined
  } catch (error) {
    return error
  } finally {
    await operator.stop()
  }
}

const isHomeFrozen = async (region: string): Promise<boolean> => {
  const manager = await openManager(open.find(one => one.region.name === region)!.nats.connection)
  return isFrozen((await manager.streams.info('CONV_0')).config)
}

for (const region of ['b', 'a'])
  t.test(`the link of ${region} is cut while the old home is frozen`, async t => {
    const from = (await homeIn(open, 'CONV_0'))!
    const to = from === 'a' ? 'b' : 'a'
    const error = await cutSwitchOver(to, () => hold(region, true))
    t.ok(error instanceof MirrorTooFarBehindError, String(error))
    t.notOk(await isHomeFrozen(from), 'the old home takes events again')
    // A home without a link holds no lease.
    if (region !== from) await untilAckedBy(from)
    hold(region, false)
    await untilAckedBy(from)
    t.equal((await resumeHomes(servers)).isDone, true)
    await untilAckedBy(to)
    await checkRegions(t, servers, open, clients, 'after')
  })

t.test('the operator loses the old home for a while when it is frozen', async t => {
  const from = (await homeIn(open, 'CONV_0'))!
  const to = from === 'a' ? 'b' : 'a'
  const proxy = await startProxy(servers.region(from).port)
  t.teardown(() => proxy.close())
  const { url, port } = servers.region(from)
  const error = await cutSwitchOver(
    to,
    () => {
      proxy.hold(true)
      setTimeout(() => proxy.hold(false), 2_000)
    },
    { urls: { [from]: url.replace(`:${port}`, `:${proxy.port}`) } },
  )
  if (error !== undefined) {
    t.comment(error)
    t.notOk(await isHomeFrozen(from), 'the old home takes events again as soon as it is reached')
    await resumeHomes(servers)
  }
  await untilAckedBy(to)
})

t.test('nothing is lost, doubled or reordered by all of that', async t => {
  await Promise.all(clients.map(client => client.stop()))
  await checkRegions(t, servers, open, clients, 'all')
})
