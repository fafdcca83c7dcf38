import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import {
  type Acked,
  ackedAreStored,
  clientsSawTheLog,
  membersAfter,
  onlyMembersSaw,
  seqsAreGapless,
} from '../harness/invariants.ts'
import { startNats } from '../harness/nats.ts'
import { Outsider, Refused, type SeenEvent } from '../harness/outsider.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

/** The next step of a client. Numbers select among what exists at that moment. */
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      pick: fc.nat(),
      text: fc.constantFrom('ginger', 'lemon', 'mint'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('edit' as const, 'delete' as const, 'react' as const, 'again' as const),
      pick: fc.nat(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'join' as const,
        'leave' as const,
        'invite' as const,
        'remove' as const,
        'role' as const,
        'ban' as const,
        'unban' as const,
      ),
      pick: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'rename' as const, 'archive' as const, 'cut' as const),
      pick: fc.nat(),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const users = ['alice', 'bob', 'carol', 'dave']
const script = fc.array(fc.array(step, { minLength: 5, maxLength: 25 }), {
  minLength: users.length,
  maxLength: users.length,
})

t.test(
  'random commands of several clients over two processes keep the invariants',
  { timeout: 240_000 },
  async t => {
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const secret = 'a secret of at least thirty-two bytes'
    const servers: ConfabProcess[] = []
    for (const name of ['a', 'b'])
      servers.push(await spawnConfab({ data: join(folder, name), nats: nats.url, secret }))
    t.teardown(() => Promise.all(servers.map(server => server.stop())))
    for (const server of servers) await untilReady(server)
    let run = 0

    await fc.assert(
      fc.asyncProperty(script, async scripts => {
        run++
        const names = ['tea', 'den'].map(name => `${name}-${run}`)
        const acked: Acked[] = []
        const clients = await Promise.all(
          users.map(async (user, index) => {
            const urls =
              index % 2 === 0 ? [servers[0]!.url, servers[1]!.url] : [servers[1]!.url, servers[0]!.url]
            const client = new Outsider(user, urls, await servers[0]!.token(user))
            for (const c of names) client.expect(c)
            return client
          }),
        )
        await clients[0]!.command('create', {
          c: names[0],
          kind: 'channel',
          title: 'Tea',
          members: ['bob', 'carol'],
          key: 'k',
        })
        await clients[1]!.command('create', {
          c: names[1],
          kind: 'group',
          members: ['alice', 'dave'],
          key: 'k',
        })
        await Promise.all(clients.map((client, index) => act(client, scripts[index]!, names, acked)))

        const log = await replayLog(['--nats', nats.url])
        for (const c of log.keys()) if (!names.includes(c)) log.delete(c)
        await caughtUp(clients, log)
        ackedAreStored(t, log, acked)
        seqsAreGapless(t, log)
        clientsSawTheLog(t, log, clients)
        onlyMembersSaw(t, log, clients)
        await Promise.all(clients.map(client => client.stop()))
      }),
      { numRuns: 8, endOnFailure: true },
    )

    // Invariant 4: a process with empty views rebuilds them from the log alone and answers like the others.
    const fresh = await spawnConfab({
      data: join(folder, 'fresh'),
      nats: nats.url,
      secret,
    })
    servers.push(fresh)
    await untilReady(fresh)
    await Promise.all([...servers.slice(0, 2), fresh].map(server => untilLevel(server)))
    const words = ['ginger', 'lemon', 'mint', 'gin*']
    const viewsOf = (server: ConfabProcess) => () => readViews(server, users, words)
    for (const server of servers.slice(0, 2))
      await sameViews(t, { actual: viewsOf(server), expected: viewsOf(fresh) }, 'views equal a replay')
  },
)

let serial = 0

const act = async (
  client: Outsider,
  steps: readonly Step[],
  names: readonly string[],
  acked: Acked[],
): Promise<void> => {
  const own: { c: string; m: string; seq: number; text: string }[] = []
  for (const next of steps) {
    const c = names[next.pick % names.length]!
    const other = users[next.pick % users.length]!
    const mine = own[next.pick % Math.max(own.length, 1)]
    const key = `key-${++serial}`
    try {
      switch (next.do) {
        case 'send': {
          const message = { c, m: `m-${++serial}`, text: `${next.text} ${serial}` }
          const { seq } = (await client.command('send', message)) as { seq: number }
          own.push({ ...message, seq })
          acked.push({ ...message, seq, from: client.user })
          break
        }
        case 'again':
          if (mine === undefined) break
          acked.push({
            ...mine,
            from: client.user,
            seq: Number((await client.command('send', { c: mine.c, m: mine.m, text: mine.text })).seq),
          })
          break
        case 'edit':
        case 'delete':
          if (mine !== undefined)
            await client.command(next.do, {
              c: mine.c,
              m: mine.m,
              key,
              ...(next.do === 'edit' ? { text: 'mint tea' } : {}),
            })
          break
        case 'react':
          if (mine !== undefined)
            await client.command('react', { c: mine.c, m: mine.m, emoji: '🍋', on: next.pick % 3 > 0, key })
          break
        case 'join':
        case 'leave':
          await client.command(next.do, { c, key })
          break
        case 'invite':
        case 'remove':
        case 'ban':
        case 'unban':
          await client.command(next.do, { c, user: other, key })
          break
        case 'role':
          await client.command('role', { c, user: other, role: next.pick % 2 > 0 ? 'admin' : 'member', key })
          break
        case 'read':
          await client.command('read', { c, seq: client.head(c) })
          break
        case 'rename':
          await client.command('rename', { c, title: `Title ${next.pick % 5}`, key })
          break
        case 'archive':
          await client.command('settings', { c, archived: next.pick % 4 === 0, key })
          break
        case 'cut':
          client.cut()
      }
    } catch (error) {
      // Refusals by the rules are part of the test; anything else is a defect.
      if (!(error instanceof Refused)) throw error
      if (!['FORBIDDEN', 'NOT_FOUND', 'NOT_MEMBER', 'BANNED', 'ARCHIVED', 'CONFLICT'].includes(error.code))
        throw error
    }
  }
}

/** Waits until every member has applied its conversations to their ends. Former members stop where they left. */
const caughtUp = async (clients: readonly Outsider[], log: Map<string, SeenEvent[]>): Promise<void> => {
  for (const [c, events] of log) {
    const members = membersAfter(events).at(-1)!
    for (const client of clients)
      while (members.has(client.user) && client.head(c) < events.length)
        await new Promise(resolve => setTimeout(resolve, 20))
  }
}
