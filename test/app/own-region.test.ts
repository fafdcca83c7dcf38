import t from 'tap'
import { checkRegionOptions, findOwnRegion } from '../../src/app/own-region.ts'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { checkRegion } from '../../src/infra/nats/regions/index.ts'
import { startNats } from '../harness/nats.ts'
import { applied, definitions, startRegions } from '../harness/nats-regions.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const servers = await startRegions(t)
const { topology, topologyFile } = servers
const open = await applied(servers)
const config = { topology: topologyFile }

t.test('a process of several regions has one role, and servers of its own', async t => {
  const options = { ...config, natsServers: ['nats://127.0.0.1:1'] }
  for (const role of ['edge', 'commands', 'projections'] as const)
    t.doesNotThrow(() => checkRegionOptions(topology, { ...options, roles: [role] }))
  t.throws(() => checkRegionOptions(topology, { ...options, roles: ['edge', 'commands'] }), {
    code: 'BAD_OPTION',
    message: /has one role, and this one has edge, commands: start a process for each, with --roles edge/,
  })
  t.throws(() => checkRegionOptions(topology, { ...options, natsServers: undefined, roles: ['edge'] }), {
    code: 'BAD_OPTION',
    message: /name those of the region of this process with --nats/,
  })
  const one = { ...topology, regions: topology.regions.slice(0, 1) }
  t.doesNotThrow(() =>
    checkRegionOptions(one, { ...options, natsServers: undefined, roles: ['edge', 'commands'] }),
  )
  const args = ['serve', '--topology', topologyFile, '--data', tempFolder(t)]
  const { code, stderr } = await runConfab(args, environmentOf(servers.region('a').port, 'edge'))
  t.equal(code, 2)
  t.match(stderr, /^error BAD_OPTION: .*a process of several regions has one role/m)
})

t.test('a process finds its region by the JetStream domain of its servers', async t => {
  for (const { region, nats } of open.slice(0, 2))
    t.equal((await findOwnRegion(nats, topology, config))?.name, region.name)
  await t.rejects(findOwnRegion(open[2]!.nats, topology, config), {
    code: 'BAD_OPTION',
    message: /region c is a witness, which has no streams of the log: name servers of another region/,
  })
  const renamed = {
    ...topology,
    regions: topology.regions.map(region => ({ ...region, domain: `not-${region.domain}` })),
  }
  await t.rejects(findOwnRegion(open[0]!.nats, renamed, config), {
    code: 'BAD_OPTION',
    message: /no region has the JetStream domain a, .*: name servers of one of the regions a, b, c/,
  })
  const nats = await startNats(t)
  await t.rejects(findOwnRegion(await nats.connect(), topology, config), {
    code: 'BAD_OPTION',
    message: /no region has servers without a JetStream domain/,
  })
})

t.test('a process starts on homes, mirrors and streams whose home is changing, and on no others', async t => {
  const [a, b] = open
  const check = ({ nats, region } = a!) => checkRegion(nats.connection, topology, definitions, region)
  t.same(await check(), [])
  t.same(await check(b), [])
  const [atA, atB] = await Promise.all([a!, b!].map(({ nats }) => openManager(nats.connection)))
  const { config: home } = await atA!.streams.info('CONV_0')
  await atA!.streams.update('CONV_0', { ...home, subjects: ['fenced.CONV_0'] })
  t.same(await check(), [], 'it reads the log while no region takes events')
  const { config: mirror } = await atB!.streams.info('USER_0')
  await atB!.streams.update('USER_0', { ...mirror, max_msgs: 5 })
  await t.rejects(check(b), { code: 'NATS_STREAMS', message: /^max_msgs of USER_0: not as defined/ })
  await atB!.streams.delete('USER_0')
  await t.rejects(check(b), {
    code: 'NATS_STREAMS',
    message: /missing: USER_0: create with "confab streams apply"/,
  })
})
