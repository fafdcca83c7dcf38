import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Nats } from '../../../src/infra/nats/client/connection.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { inboxesOf, type NatsUser, natsUsers, rightsOf } from '../../../src/infra/nats/rights/rights.ts'
import { applied, definitions, startRegions } from '../../harness/nats-regions.ts'

const servers = await startRegions(t)
const [home] = await applied(servers)
const [a, b] = [servers.region('a'), servers.region('b')]
const users = natsUsers.filter(user => user !== 'server' && user !== 'analyst')
const exampleOf = (pattern: string): string => pattern.replaceAll('*', 'x').replaceAll('>', 'x')

/** All subjects that users of either kind send and receive. */
const subjectsOf = (user: NatsUser): string[] => {
  const { publish, subscribe } = rightsOf(user, definitions)
  return [...publish, ...subscribe]
}
const every = [
  ...new Set(users.filter(user => user !== 'operator').flatMap(subjectsOf)),
  ...['conv.1.x', 'epoch.1.conv.1.x', 'epoch.1.user.1.x', 'promises.a', 'journal.a', 'mirror.a.x'],
  ...['$JS.FC.x', '$JSC.R.x', '$JS.API.STREAM.DELETE.CONV_0', '$JS.a.API.STREAM.DELETE.CONV_0'],
  ...['$JS.a.API.CONSUMER.CREATE.CONV_0.x', '$JS.a.API.STREAM.UPDATE.CONV_0', '$JS.a.API.INFO'],
].filter(subject => !subject.startsWith('$SYS.'))

/** The subjects that pass: sender, receiver, and the subject as the receiver sees it. */
const passing = [
  'commands to commands: cmd.members',
  'commands to commands: cmd.mirrored',
  'commands to edge: cmd.members',
  'commands to operator: $JS.x.API.DIRECT.GET.PROMISES.promises.x',
  'commands to operator: grant.x.x',
  'edge to commands: cmd.to.x',
  'edge to commands: cmd.who',
  'edge to edge: sig.x.x',
  'operator to operator: $JS.FC.x',
  'operator to operator: $JS.x.API.DIRECT.GET.PROMISES.promises.x',
  'operator to operator: $JSC.R.x',
  'operator to operator: _R_.x',
  'operator to operator: grant.x.x',
  'operator to operator: mirror.a.x',
]

t.test('what passes from one region to another, by user, each message once', async t => {
  const manager = await openManager(home!.nats.connection)
  const lasts = async (): Promise<number[]> => {
    const all: number[] = []
    for await (const { state } of manager.streams.list()) all.push(state.last_seq)
    return all
  }
  const before = await lasts()
  const received: string[] = []
  const ended = new Set<string>()
  const warm = new Set<string>()
  const receivers = await Promise.all(users.map(async user => ({ user, nats: await a.connect(user) })))
  for (const { user, nats } of receivers) {
    const patterns = rightsOf(user, definitions).subscribe.filter(one => one !== inboxesOf(user))
    for (const pattern of patterns)
      nats.subscribe(pattern, msg => {
        const [from, word] = msg.string().split(' ')
        if (word === 'end') ended.add(`${from} ${user}`)
        else if (word === 'warm') warm.add(`${from} to ${user}: ${msg.subject}`)
        else if (word === 'probe') received.push(`${from} to ${user}: ${msg.subject}`)
      })
    await nats.connection.flush()
  }
  /** Ends the messages of an account: a link keeps their order. */
  const lastOf: Partial<Record<NatsUser, string>> = {
    edge: 'sig.1.end',
    commands: 'cmd.members',
    operator: 'mirror.a.end',
  }
  const senders = new Map<NatsUser, Nats>(
    await Promise.all(users.map(async user => [user, await b.connect(user)] as const)),
  )
  // The other region learns of the subscriptions some time after they were made.
  while (!passing.every(one => warm.has(one))) {
    for (const one of passing) {
      const [, user = '', subject = ''] = /^(\w+) to \w+: (.*)$/.exec(one) ?? []
      senders.get(user as NatsUser)?.connection.publish(subject, `${user} warm`)
    }
    await sleep(20)
  }
  for (const [user, nats] of senders) {
    const { publish } = rightsOf(user, definitions)
    const subjects = user === 'operator' ? every : publish.filter(one => !one.startsWith('$SYS.'))
    for (const subject of subjects.map(exampleOf)) nats.connection.publish(subject, `${user} probe`)
    const last = lastOf[user]
    if (last !== undefined) nats.connection.publish(last, `${user} end`)
    await nats.connection.flush()
  }
  const ends = ['edge edge', 'commands edge', 'commands commands', 'operator operator']
  while (!ends.every(end => ended.has(end))) await sleep(20)
  t.same(received.sort(), passing)
  t.same(await lasts(), before, 'the other region stores nothing of it')
  await Promise.all(receivers.map(({ nats }) => nats.close()))
})

t.test('a request is answered in the other region, and one without a responder at once', async t => {
  const [edge, commands] = await Promise.all([b.connect('edge'), a.connect('commands')])
  commands.subscribe('cmd.to.node', msg => msg.respond(`to ${msg.string()}`))
  await commands.connection.flush()
  const ask = (subject: string) => edge.connection.request(subject, 'bob', { timeout: 5_000 })
  for (;;)
    try {
      t.equal((await ask('cmd.to.node')).string(), 'to bob')
      break
    } catch {
      // The other region learns of the subscription some time after it was made.
      await sleep(20)
    }
  for (;;) {
    const error = (await ask('cmd.to.nobody').catch((thrown: unknown) => thrown)) as Error
    // The subscriptions of the test before end in the other region some time after they ended.
    if (/no responders/.test(error.message)) break
  }
})

t.test('a commands node reads the promises of the other region and asks it for a grant', async t => {
  const commands = await b.connect('commands')
  const read = await commands.connection.request('$JS.a.API.DIRECT.GET.PROMISES.promises.a', '')
  t.match(read.json(), { counter: 1 })
  const granted = await commands.connection.request('grant.a.node', '{}')
  t.match(granted.json(), { stream: 'PROMISES', domain: 'a' })
})
