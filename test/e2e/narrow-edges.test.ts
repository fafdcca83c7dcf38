import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { EventSourceClient } from '../harness/event-source.ts'
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
const sides = [
  ['alice', 'bob', 'carol'],
  ['dave', 'erin', 'frank'],
] as const
const users = sides.flat()

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(20)
}

/** Returns a value of `/metrics`. */
const metric = async (confab: ConfabProcess, name: string): Promise<number> => {
  const text = await (await fetch(`${confab.adminUrl}/metrics`)).text()
  const line = text.split('\n').find(line => line.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1))
}
const passed = (edge: ConfabProcess) => metric(edge, 'confab_feed_events_total{outcome="skipped"}')

t.test('edges that follow only their own conversations', { timeout: 180_000 }, async t => {
  const nats = await startNats(t)
  const folder = tempFolder(t)
  const processes: ConfabProcess[] = []
  t.teardown(() => Promise.all(processes.map(one => one.stop())))
  const start = async (side: number, roles: string): Promise<ConfabProcess> => {
    const one = await spawnConfab({
      data: join(folder, String(side)),
      nats: nats.url,
      secret,
      args: ['--roles', roles],
      env: { CONFAB_EDGE_INTEREST: 'conversations' },
    })
    processes.push(one)
    return one
  }
  const deciders = [await start(0, 'commands,projections'), await start(1, 'commands,projections')]
  for (const decider of deciders) await untilReady(decider)
  const edges = [await start(0, 'edge'), await start(1, 'edge')]
  for (const edge of edges) await untilReady(edge)
  const [left, right] = edges as [ConfabProcess, ConfabProcess]

  const tokens = new Map<string, string>()
  for (const user of [...users, 'gina']) tokens.set(user, await left.token(user))
  const clients = sides.flatMap((side, n) =>
    side.map(user => new Outsider(user, [edges[n]!.url], tokens.get(user)!)),
  )
  t.teardown(() => Promise.all(clients.map(client => client.stop())))
  const of = (user: string): Outsider => clients.find(client => client.user === user)!
  const members: Record<string, readonly string[]> = {
    left: [...sides[0], 'gina'],
    right: sides[1],
    both: users,
  }
  const create = async (c: string, members: readonly string[]): Promise<void> => {
    for (const client of clients) if (members.includes(client.user)) client.expect(c)
    const [owner, ...others] = members as [string, ...string[]]
    await of(owner).command('create', { c, kind: 'group', members: others, key: 'create' })
  }
  for (const [c, all] of Object.entries(members)) await create(c, all)
  for (const edge of edges) await until(async () => (await metric(edge, 'confab_feed_narrow')) === 1)

  const acked: Acked[] = []
  let isEnding = false
  const senders = clients.map(async (client, who) => {
    for (let i = who; !isEnding; i++) {
      const mine = Object.keys(members).filter(c => members[c]?.includes(client.user))
      const c = mine[i % mine.length]!
      const message = { c, m: `${client.user}-${i}`, text: `${client.user} number ${i}` }
      const { seq } = await client.command('send', message)
      acked.push({ ...message, from: client.user, seq: Number(seq) })
      await sleep(5)
    }
  })
  const more = (count: number): Promise<void> => {
    const wanted = acked.length + count
    return until(() => acked.length >= wanted)
  }
  const stream = new EventSourceClient(right.url, tokens.get('erin')!)
  t.teardown(() => stream.stop())
  await stream.until(() => stream.of('hello').length > 0)
  await more(300)
  const streamFrom = Number(stream.events('both')[0]?.seq)
  t.ok((await passed(left)) > 0, 'the left edge passes over what the right has')
  t.ok((await passed(right)) > 0, 'and the right over what the left has')

  await t.test('conversations are created, and clients join and leave', async () => {
    for (let n = 0; n < 5; n++) {
      const c = `new-${n}`
      const owner = users[n % users.length]!
      await create(c, [owner, ...users.filter(user => user !== owner)])
      members[c] = users
      of(users[(n + 1) % users.length]!).cut()
      of(users[(n + 3) % users.length]!).cut()
      await more(30)
    }
  })

  await t.test('a request for a conversation without local interest is answered correctly', async t => {
    const history = async (): Promise<{ status: number; last: string }> => {
      const authorization = `Bearer ${tokens.get('gina')}`
      const answer = await fetch(`${right.url}/v1/conversations/left/events?limit=1`, {
        headers: { authorization },
      })
      const { events } = (await answer.json()) as { events?: { m?: string; text?: string }[] }
      return { status: answer.status, last: events?.at(-1)?.text ?? '' }
    }
    t.equal((await history()).status, 200)
    for (let n = 0; n < 3; n++) {
      const before = await history()
      await more(60)
      // The right edge has cached the conversation's state, and only learns that it is behind.
      await until(async () => (await history()).last !== before.last)
    }
    await of('alice').command('remove', { c: 'left', user: 'gina', key: 'out' })
    await until(async () => (await history()).status === 404)
    await more(30)
    t.equal((await history()).status, 404, 'and stays out')
  })

  await t.test('the digest writer dies', async t => {
    await deciders[0]!.kill9()
    await more(200)
    t.pass('acks continue')
    processes.splice(processes.indexOf(deciders[0]!), 1)
    await untilReady(await start(0, 'commands,projections'))
    await more(100)
  })
  isEnding = true
  await Promise.all(senders)

  const log = await replayLog(['--nats', nats.url])
  for (const client of clients)
    for (const [c, seen] of client.seen)
      if (seen.length > 0) await until(() => client.head(c) >= log.get(c)!.length)
  ackedAreStored(t, log, acked)
  seqsAreGapless(t, log)
  clientsSawTheLog(t, log, clients)
  onlyMembersSaw(t, log, clients)
  const both = log.get('both')!.slice(streamFrom - 1)
  await stream.until(() => stream.events('both').length >= both.length)
  t.same(stream.events('both'), both, 'the event stream received it unchanged, each event once')
  t.comment(`${acked.length} acks; passed over: ${await passed(left)} and ${await passed(right)}`)
  await stream.stop()
})
