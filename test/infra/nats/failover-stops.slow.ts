import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { rawHeaders } from '../../../src/infra/nats/client/connection.ts'
import { isRefusal, readAck } from '../../../src/infra/nats/client/publish-ack.ts'
import { loadStreams, openManager } from '../../../src/infra/nats/log/streams.ts'
import type { Instant } from '../../../src/infra/nats/regions/lease.ts'
import { readDocument, replaceDocument } from '../../../src/infra/nats/regions/promise-document.ts'
import {
  grantSubject,
  promisesStream,
  promisesStreamName,
  promisesSubject,
} from '../../../src/infra/nats/regions/promises-stream.ts'
import { startCluster } from '../../harness/nats-cluster.ts'
import { applied, startRegions } from '../../harness/nats-regions.ts'
import { urlOf } from '../../harness/nats-users.ts'
import { changeHomes } from '../../harness/region-operator.ts'
import { openWriter, untilLease } from '../../harness/region-writer.ts'

t.test('clocks and processes that stop', async t => {
  const servers = await startRegions(t, { delayMs: 5 })
  await applied(servers)
  const { timeMs } = servers.topology.lease
  const { link } = servers.region('a')

  t.test('a lease ends by the clock that advanced further', async t => {
    const ahead = { monotonic: 0, wall: 0 }
    const clock = (): Instant => ({
      monotonic: performance.now() + ahead.monotonic,
      wall: Date.now() + ahead.wall,
    })
    const writer = await openWriter(t, servers, 'a', { clock })
    const epoch = (): number | undefined => writer.lease.epochOf('CONV_0')
    await untilLease(writer, 'CONV_0')
    ahead.wall += 3_600_000
    t.equal(epoch(), undefined, 'the wall clock jumped forwards')
    await untilLease(writer, 'CONV_0')
    ahead.wall -= 7_200_000
    await sleep(timeMs)
    await untilLease(writer, 'CONV_0')
    for (const which of ['monotonic', 'wall'] as const) {
      link.hold(true)
      ahead[which] += timeMs
      // Late grants included.
      for (let round = 0; round < 100; round++) {
        if (epoch() !== undefined) t.fail(`held after ${timeMs} ms by the ${which} clock`)
        await sleep(10)
      }
      link.hold(false)
      await untilLease(writer, 'CONV_0')
      // Backwards between the grants of a lease and its end.
      ahead.wall -= 3_600_000
      t.equal(epoch(), 1, 'the monotonic clock counts')
      link.hold(true)
      ahead.monotonic += timeMs
      t.equal(epoch(), undefined)
      link.hold(false)
      await untilLease(writer, 'CONV_0')
    }
  })

  t.test('a process that was stopped through a failover acknowledges nothing', async t => {
    const writer = spawn(
      process.execPath,
      [
        'test/harness/region-writer-process.ts',
        servers.topologyFile,
        'a',
        urlOf(servers.region('a').port, 'commands'),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    t.teardown(() => writer.kill('SIGKILL'))
    const acked: number[] = []
    createInterface(writer.stdout).on('line', line => acked.push(Number(line)))
    while (acked.length < 100) await sleep(10)
    const stoppedAt = Date.now()
    writer.kill('SIGSTOP')
    link.hold(true)
    await changeHomes(servers, { kind: 'failover', to: 'b' }, { regions: ['b', 'c'] })
    await untilLease(await openWriter(t, servers, 'b'), 'CONV_0')
    writer.kill('SIGCONT')
    await sleep(1_500)
    link.hold(false)
    await sleep(1_500)
    // It may report earlier ones. The failover took longer than the lease.
    t.same(
      acked.filter(at => at > stoppedAt + timeMs / 2),
      [],
    )
    t.equal(writer.exitCode, null)
  })
})

t.test('a leader of PROMISES that was replaced grants nothing under earlier promises', async t => {
  const cluster = await startCluster(t)
  const nats = await cluster.connect()
  const manager = await openManager(nats.connection)
  await manager.streams.add(promisesStream('a', loadStreams({ replicas: 3 })) as never)
  const subject = promisesSubject('a')
  let seq = (await replaceDocument(nats, subject, { counter: 1, streams: {} }, 0)) ?? 0
  const headers = (): ReturnType<typeof rawHeaders> =>
    rawHeaders(
      `NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${seq}\r\nNats-Expected-Last-Subject-Sequence-Subject: ${subject}\r\nNats-TTL: 1h\r\n\r\n`,
    )
  for (let counter = 2; counter <= 3; counter++) {
    const { cluster: group } = await manager.streams.info(promisesStreamName)
    const leader = Number(group?.leader?.slice(1))
    const node = await cluster.connect(cluster.urls[leader])
    const others = await cluster.connect(cluster.urls[(leader + 1) % 3])
    const grant = (timeout: number) =>
      node.connection.request(grantSubject('a', 'node'), '{}', { timeout, headers: headers() }).then(
        answer => readAck(answer),
        () => undefined,
      )
    const granted = await grant(10_000)
    t.notOk(granted === undefined || isRefusal(granted), 'granted under the promises of now')
    cluster.stop(leader, true)
    // The server has not read them yet when it is replaced.
    const waiting = Array.from({ length: 20 }, () => grant(60_000))
    let next: number | undefined
    while (next === undefined)
      next = await replaceDocument(others, subject, { counter, streams: {} }, seq, 2_000).catch(async () => {
        // An answer may be lost while the others elect.
        const { value, seq: last } = await readDocument<{ counter: number }>(others, subject, 2_000).catch(
          () => ({ value: undefined, seq: 0 }),
        )
        return value?.counter === counter ? last : undefined
      })
    cluster.stop(leader, false)
    const answers = await Promise.all(waiting)
    t.ok(
      answers.every(answer => answer === undefined || isRefusal(answer)),
      JSON.stringify(answers[0]),
    )
    seq = next
  }
})
