import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Family } from '../../../src/events/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import type { RegionOperation } from '../../../src/infra/nats/regions/region-journal.ts'
import {
  failoverSteps,
  OperationRunningError,
  switchOverSteps,
} from '../../../src/infra/nats/regions/region-journal.ts'
import { isFrozen } from '../../../src/infra/nats/regions/stream-moves.ts'
import { applied, startRegions } from '../../harness/nats-regions.ts'
import {
  changeHomes,
  checkRegions,
  homeIn,
  type Interruption,
  interruptedHomes,
  Operator,
  resumeHomes,
} from '../../harness/region-operator.ts'
import { NaiveClient, openWriter, untilLease } from '../../harness/region-writer.ts'

const servers = await startRegions(t, { delayMs: 5 })
const open = await applied(servers)
const writers = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
const writerOf = (region: string) => writers.find(one => one.region === region)!
await untilLease(writerOf('a'), 'CONV_0')
const clients = Array.from(
  { length: 5 },
  (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, writers, 20),
)

/** Waits until the clients have more acks, all of them from now on. */
const untilAcked = async (): Promise<void> => {
  const before = clients.map(({ acked }) => acked.length)
  while (clients.some(({ acked }, n) => acked.length < before[n]! + 2))
    await new Promise(done => setTimeout(done, 10))
}

const otherHome = async (): Promise<string> => ((await homeIn(open, 'CONV_0')) === 'a' ? 'b' : 'a')

/** A seeded choice. */
const choices = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] =>
  fc.sample(arbitrary, { numRuns: count, seed: 20_261_201 })

const interruptions = (steps: readonly Interruption['step'][]): fc.Arbitrary<Interruption> =>
  fc.record({
    how: fc.constantFrom('abort' as const, 'kill' as const),
    step: fc.constantFrom(...steps),
    afterMs: fc.constantFrom(0, 0, 2, 10, 40),
  })

const checkInterrupted = async (
  t: Test,
  kind: 'failover' | 'switch-over',
  interruption: Interruption,
): Promise<void> => {
  const to = await otherHome()
  const what = `${kind} to ${to}: ${JSON.stringify(interruption)}`
  t.comment(what)
  await interruptedHomes(servers, { kind, to }, interruption)
  const operator = await Operator.start(servers)
  const unfinished = operator.journal.operation
  await operator.stop()
  if (unfinished?.isDone === false) await resumeHomes(servers)
  t.equal(await homeIn(open, 'CONV_0'), to, `${what}: finished`)
  await untilLease(writerOf(to), 'CONV_0')
  await untilAcked()
  if (kind === 'failover') await changeHomes(servers, { kind: 'rejoin', to: await otherHome() })
}

t.test('a switch-over that ends within or between its steps is finished by another process', async t => {
  for (const interruption of choices(interruptions(switchOverSteps), 5))
    await checkInterrupted(t, 'switch-over', interruption)
  await checkRegions(t, servers, open, clients, 'switch-overs')
})

t.test('a failover that ends within or between its steps is finished by another process', async t => {
  for (const interruption of choices(interruptions(failoverSteps), 2))
    await checkInterrupted(t, 'failover', interruption)
  await checkRegions(t, servers, open, clients, 'failovers')
})

t.test('of two operators that begin together, one wins', async t => {
  for (let round = 0; round < 3; round++) {
    const to = await otherHome()
    const operators = await Promise.all([Operator.start(servers), Operator.start(servers)])
    const results = await Promise.allSettled(
      operators.map(async operator => {
        await operator.begin({ kind: 'switch-over', to })
        return await operator.run()
      }),
    )
    await Promise.all(operators.map(operator => operator.stop()))
    const done = results.filter(one => one.status === 'fulfilled').map(({ value }) => value)
    const refused = results.filter(one => one.status === 'rejected').map(({ reason }) => reason as Error)
    t.ok(done.length <= 1, 'not both')
    t.ok(
      refused.every(error => error instanceof OperationRunningError),
      refused.map(error => error.message).join(),
    )
    const operator = await Operator.start(servers)
    t.equal(operator.journal.operation?.isDone, true, 'no unfinished operation is left')
    // Both may lose: each has then reached another region first.
    if (done.length === 0) await operator.begin({ kind: 'switch-over', to })
    const last: RegionOperation = done[0] ?? (await operator.run())
    await operator.stop()
    t.equal(last.to, await homeIn(open, 'CONV_0'))
    await untilLease(writerOf(to), 'CONV_0')
  }
})

t.test('a process that was taken over does not undo the work of its successor', async t => {
  const to = await otherHome()
  const from = to === 'a' ? 'b' : 'a'
  const first = await Operator.start(servers)
  await first.begin({ kind: 'switch-over', to })
  // The mirror does not follow, so the first process is to let the old home take events again.
  const { promise: held, resolve } = Promise.withResolvers<void>()
  const run = first
    .run({
      onStep: step => {
        if (step !== 'marker') return
        servers.region(to).link.hold(true)
        resolve()
      },
    })
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  await held
  let second = await Operator.start(servers)
  // The first process may write between the reading and the writing of the second.
  while (
    !(await second.resume().then(
      () => true,
      () => false,
    ))
  ) {
    await second.stop()
    second = await Operator.start(servers)
  }
  const error = await run
  t.ok(error instanceof OperationRunningError, String(error))
  const manager = await openManager(open.find(({ region }) => region.name === from)!.nats.connection)
  t.ok(isFrozen((await manager.streams.info('CONV_0')).config), 'the successor decides')
  servers.region(to).link.hold(false)
  await Promise.all([first.stop(), second.stop()])
  await resumeHomes(servers)
  await untilLease(writerOf(to), 'CONV_0')
  await untilAcked()
})

t.test('nothing is lost, doubled or reordered by all of that', async t => {
  await Promise.all(clients.map(client => client.stop()))
  await checkRegions(t, servers, open, clients, 'all')
})
