import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { freePort } from '../harness/free-ports.ts'
import {
  type Acked,
  ackedAreStored,
  clientsSawTheLog,
  onlyMembersSaw,
  seqsAreGapless,
} from '../harness/invariants.ts'
import { startNats } from '../harness/nats.ts'
import { Outsider } from '../harness/outsider.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const secret = 'a secret of at least thirty-two bytes'
const users = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank']
const conversations = ['c0', 'c1', 'c2', 'c3', 'c4', 'c5']

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(20)
}

t.test('a rolling restart of three edges under load loses nothing', { timeout: 180_000 }, async t => {
  const nats = await startNats(t)
  const folder = tempFolder(t)
  const edges: ConfabProcess[] = []
  const start = async (n: number, port: number): Promise<void> => {
    const data = join(folder, `edge-${n}`)
    // Each process builds the views that it reads.
    const args = ['--roles', 'edge,commands,projections']
    edges[n] = await spawnConfab({ data, port, nats: nats.url, secret, args })
  }
  t.teardown(() => Promise.all(edges.map(edge => edge.stop())))
  const ports = await Promise.all([freePort(), freePort(), freePort()])
  for (const [n, port] of ports.entries()) await start(n, port)
  for (const edge of edges) await untilReady(edge)
  const urls = edges.map(({ url }) => url)
  const rotated = (n: number) => urls.map((_, i) => urls[(n + i) % urls.length]!)

  const tokens = await Promise.all(users.map(user => edges[0]!.token(user)))
  const clients = users.map((user, n) => new Outsider(user, rotated(n), tokens[n]!))
  for (const client of clients) for (const c of conversations) client.expect(c)
  for (const c of conversations)
    await clients[0]!.command('create', { c, kind: 'group', members: users.slice(1), key: 'create' })
  const stream = new EventSourceClient(() => urls[stream.connections % urls.length]!, tokens[1]!)
  t.teardown(() => stream.stop())
  await stream.until(() => stream.of('hello').length > 0)
  const streamFrom = new Map<string, number>()

  const acked: Acked[] = []
  const ackMs: number[] = []
  let isEnding = false
  // A load that meets a non-retryable error rejects.
  const senders = clients.map(async (client, who) => {
    for (let i = who; !isEnding; i++) {
      const c = conversations[i % conversations.length]!
      const message = { c, m: `${client.user}-${i}`, text: `${client.user} number ${i}` }
      const started = performance.now()
      const { seq } = await client.command('send', message)
      ackMs.push(performance.now() - started)
      acked.push({ ...message, from: client.user, seq: Number(seq) })
      await sleep(5)
    }
  })
  const more = (count: number): Promise<void> => {
    const wanted = acked.length + count
    return until(() => acked.length >= wanted)
  }
  await more(200)
  for (const c of conversations) streamFrom.set(c, Number(stream.events(c)[0]?.seq))
  const drainMs: number[] = []
  for (const [n, port] of ports.entries()) {
    const began = performance.now()
    t.equal(await edges[n]!.stop(), 0, 'SIGTERM ends it in order')
    drainMs.push(performance.now() - began)
    await more(100)
    await start(n, port)
    await untilReady(edges[n]!)
    await more(100)
  }
  isEnding = true
  await Promise.all(senders)

  const log = await replayLog(['--nats', nats.url])
  for (const client of clients)
    for (const c of conversations) await until(() => client.head(c) >= log.get(c)!.length)
  ackedAreStored(t, log, acked)
  seqsAreGapless(t, log)
  clientsSawTheLog(t, log, clients)
  onlyMembersSaw(t, log, clients)
  for (const c of conversations) {
    const rest = log.get(c)!.slice(streamFrom.get(c)! - 1)
    await stream.until(() => stream.events(c).length >= rest.length)
    t.same(stream.events(c), rest, `the event stream received ${c} unchanged, each event once`)
  }
  t.ok(stream.connections > 1, `the event stream moved ${stream.connections - 1} times`)
  t.ok(
    clients.every(client => client.reconnects > 0),
    'everyone moved',
  )
  const longest = Math.max(...ackMs)
  t.comment(
    `${acked.length} acks, the longest took ${longest.toFixed(0)} ms; drains took ${drainMs.map(ms => ms.toFixed(0)).join(', ')} ms`,
  )
  t.ok(longest < 2_000, 'no ack takes longer than 2 s')
  await Promise.all(clients.map(client => client.stop()))
  await stream.stop()
})
