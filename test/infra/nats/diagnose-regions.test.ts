import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { compareDeleted } from '../../../src/infra/nats/regions/diagnose-mirrors.ts'
import { type DiagnoseOptions, diagnoseRegions } from '../../../src/infra/nats/regions/diagnose-regions.ts'
import { judgeServers } from '../../../src/infra/nats/regions/diagnose-servers.ts'
import type { OpenRegion } from '../../../src/infra/nats/regions/open-region.ts'
import type { Cure, RegionFinding } from '../../../src/infra/nats/regions/region-finding.ts'
import { mirrorConsumer } from '../../../src/infra/nats/regions/region-streams.ts'
import { applied, definitions, startRegions } from '../../harness/nats-regions.ts'

const servers = await startRegions(t)
const { topology } = servers
const open = await applied(servers)
const [a, b] = open as [OpenRegion, OpenRegion]
const [atA, atB] = (await Promise.all([a, b].map(({ nats }) => openManager(nats.connection)))) as [
  JetStreamManager,
  JetStreamManager,
]
const js = jetstream(a.nats.connection)

interface Changes extends DiagnoseOptions {
  readonly reached?: readonly OpenRegion[]
  readonly wanted?: typeof definitions
}

const diagnose = ({ reached = open, wanted = definitions, ...options }: Changes = {}) =>
  diagnoseRegions(
    {
      topology,
      open: reached,
      unreachable: open
        .filter(one => !reached.includes(one))
        .map(({ region }) => ({ region, why: 'connection refused' })),
      definitions: wanted,
    },
    { watchMs: 300, ...options },
  )
const textOf = ({ what, where, detail }: RegionFinding): string => `${what} (${where}): ${detail}`
const isIll = ({ state }: RegionFinding): boolean => state === 'ill'
const illOf = (findings: readonly RegionFinding[]): string[] => findings.filter(isIll).map(textOf)
const diagnoseIll = async (changes?: Changes) => (await diagnose(changes)).filter(isIll)
const cure = async (findings: readonly RegionFinding[]): Promise<string[]> => {
  const cures = new Map<string, Cure>()
  for (const one of findings) if (one.cure !== undefined) cures.set(one.cure.does, one.cure)
  for (const one of cures.values()) await one.run()
  return [...cures.keys()]
}
const untilWell = async (): Promise<void> => {
  for (let left = 30; left > 0; left--) {
    const ill = illOf(await diagnoseIll())
    if (ill.length === 0) return
    if (left === 1) throw new Error(ill.join('\n'))
    await sleep(200)
  }
}
const publish = async (count: number) => {
  for (let n = 0; n < count; n++) await js.publish(`epoch.1.conv.1.c${n % 10}`, `event ${n}`)
}
await publish(200)

t.test('healthy regions', async t => {
  await untilWell()
  const findings = await diagnose()
  t.same(
    findings
      .map(({ what, where, state }) => [state, what, where].join(' '))
      .filter(text => !/^note servers/.test(text))
      .sort(),
    [
      ...['CONV_0 a', 'CONV_0 b', 'USER_0 a', 'USER_0 b'].map(place => `well ${place}`),
      ...['a to b', 'a to c', 'b to a', 'b to c', 'c to a', 'c to b'].map(pair => `well link ${pair}`),
      ...['a', 'b', 'c'].map(region => `well servers ${region}`),
    ].sort(),
  )
  t.match(
    findings.find(({ what, where }) => what === 'CONV_0' && where === 'b'),
    {
      detail: 'mirror, level with its home',
    },
  )
  const grants = await atB.streams.info('PROMISES', { subjects_filter: 'grant.>' })
  t.same(grants.state.subjects ?? {}, {}, 'the probes store nothing')
})

t.test('settings: the window, the limits, and others', async t => {
  const home = await atA.streams.info('CONV_0')
  await atA.streams.update('CONV_0', { ...home.config, duplicate_window: 1e9 })
  const mirror = await atB.streams.info('CONV_0')
  await atB.streams.update('CONV_0', { ...mirror.config, max_msgs: 1e9, description: 'by hand' })
  const found = await diagnoseIll()
  t.same(illOf(found), [
    'CONV_0 (a): duplicate_window is 1000000000 instead of 30000000000: the window within which the server recognizes an event that is sent twice',
    'CONV_0 (b): max_msgs is 1000000000 instead of -1: home and mirror have to keep the same messages',
    `CONV_0 (b): description is "by hand" instead of ${JSON.stringify(home.config.description)}`,
  ])
  t.same(await cure(found), ['set CONV_0, its mirrors and their consumers as defined'])
  await untilWell()
})

t.test('a defined limit that removes messages is not cured', async t => {
  const wanted = definitions.map(one => (one.name === 'CONV_0' ? { ...one, max_msgs: 10 } : one))
  const found = await diagnoseIll({ wanted })
  t.match(illOf(found), [/^CONV_0 \(a\): max_msgs is -1 instead of 10/, /^CONV_0 \(b\): max_msgs is -1/])
  t.match(found[0]?.advice, /--allow-loss CONV_0/)
  t.same(await cure(found), [])
})

t.test('the consumer of a mirror', async t => {
  await atA.consumers.delete('CONV_0', 'mirror-b')
  await atA.consumers.delete('USER_0', 'mirror-b')
  const other = { ...mirrorConsumer('b', 'USER_0', 1), max_ack_pending: 7, replay_policy: 'instant' }
  await atA.consumers.add('USER_0', other as never)
  const stale = { ...mirrorConsumer('gone', 'CONV_0', 1), replay_policy: 'instant' }
  await atA.consumers.add('CONV_0', stale as never)
  const before = await atB.streams.info('CONV_0')
  await publish(20)
  const found = await diagnoseIll()
  t.same(
    illOf(found)
      .filter(text => !/is stalled/.test(text))
      .sort(),
    [
      'CONV_0 (a): the consumer mirror-b does not exist: the mirror receives nothing',
      'CONV_0 (a): the consumer mirror-gone is of a mirror that does not exist any more',
      'USER_0 (a): the consumer mirror-b has another max_ack_pending: the window of messages that the home sends ahead',
    ],
  )
  t.match(
    found.find(({ detail }) => /is stalled/.test(detail)),
    { what: 'CONV_0', where: 'b', detail: /is stalled: 20 messages/, advice: /the consumer mirror-b in a/ },
  )
  t.equal((await atB.streams.info('CONV_0')).mirror?.lag, 0, 'JetStream itself sees no lag')
  t.same((await cure(found)).sort(), [
    'delete the consumer mirror-gone of CONV_0 in a',
    'set CONV_0, its mirrors and their consumers as defined',
    'set USER_0, its mirrors and their consumers as defined',
  ])
  await untilWell()
  t.equal((await atB.streams.info('CONV_0')).state.last_seq, before.state.last_seq + 20)
})

t.test('a consumer that a mirror uses is not deleted', async t => {
  const stale = { ...mirrorConsumer('used', 'CONV_0', 1), replay_policy: 'instant' }
  await atA.consumers.add('CONV_0', stale as never)
  const subscription = b.nats.subscribe('mirror.used.CONV_0', () => {})
  let found = await diagnoseIll()
  while (!/serves a mirror/.test(found[0]?.detail ?? '')) found = await diagnoseIll()
  t.same(illOf(found), [
    'CONV_0 (a): the consumer mirror-used serves a mirror that the topology does not have',
  ])
  t.same(await cure(found), [])
  subscription.unsubscribe()
  await atA.consumers.delete('CONV_0', 'mirror-used')
})

t.test('messages that one of a home and its mirror lacks', async t => {
  await atB.streams.deleteMessage('CONV_0', 60)
  await atB.streams.deleteMessage('CONV_0', 61)
  const skipped = await diagnoseIll()
  t.same(illOf(skipped), ['CONV_0 (b): has skipped 2 messages that its home has: sequence 60, 61'])
  t.match(skipped[0]?.cure, {
    isDestructive: true,
    does: 'delete CONV_0 in b, and copy it again from its home in a',
  })

  await atA.streams.deleteMessage('CONV_0', 190)
  const both = await diagnoseIll()
  t.same(illOf(both), [
    'CONV_0 (b): has skipped 2 messages that its home has: sequence 190, 60, 61',
    'CONV_0 (b): has 1 messages that its home has deleted or lost: sequence 190, 60, 61',
  ])
  t.same(await cure(both), [], 'the mirror may have the last copy')
  await atB.streams.deleteMessage('CONV_0', 190)
  await cure(await diagnoseIll())
  while ((await atB.streams.info('CONV_0')).state.last_seq < 220) await sleep(20)
  await untilWell()
  const [home, mirror] = await Promise.all([atA, atB].map(manager => manager.streams.info('CONV_0')))
  t.same(
    [mirror?.state.messages, mirror?.state.last_seq],
    [home?.state.messages, home?.state.last_seq],
    'replaced',
  )
})

t.test('deleted messages are compared up to the end of the mirror', t => {
  const state = (first_seq: number, last_seq: number, deleted: number[] = []) => ({
    first_seq,
    last_seq,
    deleted,
  })
  const none = { onlyInMirror: 0, onlyInHome: 0, examples: [] }
  t.same(compareDeleted(state(1, 10), state(1, 5)), none, 'behind')
  t.same(compareDeleted(state(1, 10, [8]), state(1, 5)), none, 'deleted before the mirror had it')
  t.same(compareDeleted(state(1, 10, [3]), state(1, 10, [3])), none)
  t.same(compareDeleted(state(1, 10, [3]), state(1, 10)), { ...none, onlyInMirror: 1, examples: [3] })
  t.same(compareDeleted(state(1, 10), state(1, 10, [3])), { ...none, onlyInHome: 1, examples: [3] })
  t.same(compareDeleted(state(4, 10), state(1, 10, [2])), { ...none, onlyInMirror: 2, examples: [1, 3] })
  t.same(compareDeleted(state(1, 10, [2]), state(4, 10)), { ...none, onlyInHome: 2, examples: [1, 3] })
  t.end()
})

t.test('streams near their limits', async t => {
  const findings = await diagnose({ mostSubjects: 12 })
  t.match(
    findings
      .filter(({ detail }) => / subjects; /.test(detail))
      .map(({ what, where, state }) => [what, where, state]),
    [
      ['CONV_0', 'a', 'note'],
      ['CONV_0', 'b', 'note'],
    ],
  )
  t.match(illOf(await diagnose({ mostSubjects: 10 })), [/CONV_0 \(a\): 10 subjects; /, /CONV_0 \(b\)/])
  const wanted = definitions.map(one => (one.name === 'AUDIT' ? { ...one, max_bytes: 2_000 } : one))
  const manager = atA
  const { config } = await manager.streams.info('AUDIT')
  await manager.streams.update('AUDIT', { ...config, max_bytes: 2_000 })
  for (let n = 0; n < 10; n++) await js.publish('audit.log', 'x'.repeat(150))
  const found = illOf(await diagnose({ wanted }))
  t.match(
    found.filter(text => text.startsWith('AUDIT (a)')),
    [
      /^AUDIT \(a\): holds \d+ of max_bytes 2000: it refuses messages when it is full$/,
      /^AUDIT \(a\): reaches its limit of max_bytes in \d days/,
    ],
  )
  await manager.streams.update('AUDIT', config)
})

t.test('a mirror that does not exist', async t => {
  await atB.streams.delete('USER_0')
  await atB.streams.delete('PROMISES')
  const found = await diagnoseIll()
  t.same(illOf(found).sort(), [
    'PROMISES (b): does not exist',
    'USER_0 (a): the consumer mirror-b is of a mirror that does not exist',
    'USER_0 (b): does not exist',
  ])
  const incomplete = await diagnoseIll({ reached: open.slice(0, 2) })
  t.match(illOf(incomplete)[0], /^servers \(c\): cannot be reached: connection refused$/)
  t.same(await cure(incomplete), [], 'nothing is cured while a region is away')
  await cure(found)
  await untilWell()
})

t.test('a home that does not exist, and two homes', async t => {
  await atA.streams.delete('USER_0')
  await js.publish('epoch.1.conv.1.x', 'x')
  const newSystem = await diagnoseIll()
  t.ok(illOf(newSystem).includes('USER_0 (a): does not exist'), 'nothing is lost: no region has events of it')
  await cure(newSystem)
  await untilWell()

  await atA.streams.delete('CONV_0')
  const lost = await diagnoseIll()
  t.match(illOf(lost), [/^CONV_0 \(a\): does not exist in its home, and b has events of it up to \d+/])
  t.same(await cure(lost), [])

  await atA.streams.add({ name: 'CONV_0', subjects: ['conv.*.*'] })
  const { config } = await atB.streams.info('CONV_0')
  await atB.streams.update('CONV_0', { ...config, mirror: undefined, subjects: ['conv.*.*'] } as never)
  const two = await diagnoseIll()
  t.same(illOf(two), ['CONV_0 (undefined): CONV_0 has 2 homes, a and b: only one may take events'])
  t.same(await cure(two), [])
})

t.test('servers are judged by confab and by each other', t => {
  const server = (region: string, level: number, version: string, domain = region) => ({
    region,
    level,
    version,
    domain,
    wantedDomain: region,
  })
  const judge = (...all: ReturnType<typeof server>[]) => judgeServers(all).map(one => [one.state, one.detail])
  t.match(judge(server('a', 5, '2.15.1'), server('b', 5, '2.15.1')), [['well'], ['well']])
  t.match(judge(server('a', 5, '2.15.1'), server('b', 4, '2.14.0')), [
    ['note', /other regions have 2\.14\.0/],
    ['ill', /confab needs level 5/],
  ])
  t.match(judge(server('a', 6, '2.16.0'), server('b', 5, '2.15.1')), [['note'], ['ill', /a has level 6/]])
  t.match(judge(server('a', 5, '2.15.1', 'x')), [
    ['ill', /in the JetStream domain x, and the topology says a/],
  ])
  t.end()
})

t.test('links that pass some subjects only', async t => {
  const broken = await startRegions(t, { notPassed: ['"$JS.FC.>"', '"$JS.*.API.CONSUMER.RESET.>"'] })
  const reached = await Promise.all(
    broken.topology.regions.map(async region => ({
      region,
      nats: await broken.region(region.name).connect(),
    })),
  )
  const examine = async () =>
    (
      await diagnoseRegions(
        { topology: broken.topology, open: reached, unreachable: [], definitions },
        { watchMs: 10 },
      )
    ).filter(({ what }) => what === 'link')
  const found = await examine()
  t.same(illOf(found), [
    'link (a to b): does not pass confirmations of mirrors (flow control), requests of mirrors to continue (API reset)',
    'link (b to a): does not pass confirmations of mirrors (flow control), requests of mirrors to continue (API reset)',
  ])
  t.match(found[0]?.advice, /^add \$JS\.FC\.>, \$JS\.\*\.API\.CONSUMER\.RESET\.> to the allow list/)
  broken.region('b').routes.hold(true)
  const cut = (await examine()).filter(({ detail }) => detail === 'passes nothing').map(({ where }) => where)
  t.same(cut.sort(), ['a to b', 'b to a', 'b to c', 'c to b'])
})
