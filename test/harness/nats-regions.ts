import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectNats, type Nats } from '../../src/infra/nats/client/connection.ts'
import { CommandSubject } from '../../src/infra/nats/commands/command-wire.ts'
import { findNatsServer } from '../../src/infra/nats/embedded/nats-binary.ts'
import { type ServerProcess, spawnServer } from '../../src/infra/nats/embedded/server-process.ts'
import { loadStreams } from '../../src/infra/nats/log/streams.ts'
import { applyRegions } from '../../src/infra/nats/regions/apply-regions.ts'
import type { OpenRegion } from '../../src/infra/nats/regions/open-region.ts'
import { parseTopology } from '../../src/infra/nats/regions/parse-topology.ts'
import type { Topology } from '../../src/infra/nats/regions/topology.ts'
import type { NatsUser } from '../../src/infra/nats/rights/rights.ts'
import { freePorts } from './free-ports.ts'
import { type CuttingProxy, startProxy } from './nats-proxy.ts'
import { inboxPrefixOf, urlOf, userPasswords } from './nats-users.ts'

const source = join(import.meta.dirname, '../../nats/regions')

/** One region: a JetStream server on nats/regions/region.conf, and a spine server on nats/regions/spine.conf. */
export interface TestRegion {
  readonly name: string
  readonly port: number
  /** For the user operator. */
  readonly url: string
  /** `user`: default operator. */
  connect(user?: NatsUser): Promise<Nats>
  /** The link between the region's JetStream server and its spine. */
  readonly link: Pick<CuttingProxy, 'hold'>
  /** The links between this spine and those of the other regions, in both directions. */
  readonly routes: Pick<CuttingProxy, 'hold'>
  /** Stops the JetStream server and starts it again. */
  stop(): Promise<void>
  start(): Promise<void>
}

export interface TestRegions {
  readonly regions: ReadonlyMap<string, TestRegion>
  region(name: string): TestRegion
  /** A topology with the home of all streams in the first region, mirrors in the others, and the last as a witness. */
  readonly topology: Topology
  /** The file of `topology`. */
  readonly topologyFile: string
}

export interface StartRegionsOptions {
  /** Names; the last is the witness. Default: a, b and c. */
  readonly names?: readonly string[]
  /** Delay of each direction between a JetStream server and its spine, ms. Default: none. */
  readonly delayMs?: number
  /** Subjects that the allow list of the spines lacks: lines of links.conf without their spaces. Default: none. */
  readonly notPassed?: readonly string[]
}

/** A part of the configuration that only tests need: other servers must not learn addresses without a proxy. */
const withoutGossip = (text: string): string =>
  text.replaceAll(
    /listen: \$CONFAB_NATS_(LEAF|CLUSTER)_LISTEN/g,
    listen =>
      `${listen}\n  advertise: $CONFAB_TEST_${listen.includes('LEAF') ? 'LEAF' : 'CLUSTER'}_ADVERTISE`,
  )

const without = (lines: readonly string[], text: string): string =>
  text
    .split('\n')
    .filter(line => !lines.includes(line.trim()))
    .join('\n')

/** Returns a configuration with the allow lists of the links in it. */
const configurationOf = (file: string): string =>
  readFileSync(join(source, file), 'utf8').replace(/^include \.\/(links\.conf)$/m, (_, links: string) =>
    readFileSync(join(source, links), 'utf8'),
  )

/** Starts the servers of several regions; everything is stopped and removed when the test ends. */
export const startRegions = async (
  t: { teardown(fn: () => unknown): void },
  { names = ['a', 'b', 'c'], delayMs = 0, notPassed = [] }: StartRegionsOptions = {},
): Promise<TestRegions> => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'confab-regions-')))
  const { path: binary } = await findNatsServer()
  const ports = await freePorts(names.length * 4)
  const portsOf = (index: number) => {
    const [client = 0, spine = 0, leaf = 0, cluster = 0] = ports.slice(index * 4)
    return { client, spine, leaf, cluster }
  }
  const closers: (() => Promise<unknown>)[] = []
  const servers: ServerProcess[] = []
  t.teardown(async () => {
    await Promise.all(closers.map(close => close()))
    await Promise.all(servers.map(server => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  })
  const proxyTo = async (port: number, delay = 0): Promise<CuttingProxy> => {
    const proxy = await startProxy(port, { delayMs: delay })
    closers.push(proxy.close)
    return proxy
  }
  const links = await Promise.all(names.map((_, index) => proxyTo(portsOf(index).leaf, delayMs)))
  // From each spine to each other one.
  const routes = await Promise.all(
    names.map(() => Promise.all(names.map((_, to) => proxyTo(portsOf(to).cluster)))),
  )
  const launch = async (
    name: string,
    file: string,
    env: Record<string, string>,
    more = '',
  ): Promise<ServerProcess> => {
    const portsDir = join(folder, name)
    mkdirSync(portsDir, { recursive: true })
    const configFile = join(portsDir, file)
    const logFile = join(portsDir, 'nats-server.log')
    const text = withoutGossip(without(notPassed, configurationOf(file))).replaceAll(
      /^include (\S+)/gm,
      (_, included: string) => `include ${JSON.stringify(relative(portsDir, join(source, included)))}`,
    )
    writeFileSync(
      configFile,
      `${text}\nlog_file: '${logFile}'\nports_file_dir: '${portsDir}'\nhttp: '127.0.0.1:-1'\n${more}`,
    )
    const server = await spawnServer(binary, configFile, {
      logFile,
      portsDir,
      env: { ...userPasswords(), CONFAB_NATS_REGION_PASSWORD: 'the-password-of-a-region', ...env },
    })
    servers.push(server)
    return server
  }
  const local = (port: number): string => `127.0.0.1:${port}`
  const startSpine = (name: string, index: number) => {
    const { spine, leaf, cluster } = portsOf(index)
    return launch(`spine-${name}`, 'spine.conf', {
      CONFAB_NATS_NAME: `spine-${name}`,
      CONFAB_NATS_LISTEN: local(spine),
      CONFAB_NATS_LEAF_LISTEN: local(leaf),
      CONFAB_NATS_CLUSTER_LISTEN: local(cluster),
      CONFAB_NATS_ROUTES: JSON.stringify(names.map((_, to) => `nats://${local(routes[index]![to]!.port)}`)),
      CONFAB_TEST_LEAF_ADVERTISE: local(links[index]!.port),
      // Nothing listens there: the other spines have only their own proxies.
      CONFAB_TEST_CLUSTER_ADVERTISE: local(1),
    })
  }
  const spineFor = (user: string, index: number): string =>
    JSON.stringify([`nats-leaf://${user}:the-password-of-a-region@${local(links[index]!.port)}`])
  const startServer = (name: string, index: number) =>
    launch(name, 'region.conf', {
      CONFAB_NATS_NAME: `${name}1`,
      CONFAB_NATS_LISTEN: local(portsOf(index).client),
      CONFAB_NATS_STORE: join(folder, name, 'store'),
      CONFAB_NATS_DOMAIN: name,
      CONFAB_NATS_SPINE: spineFor('region', index),
      CONFAB_NATS_SPINE_EDGE: spineFor('region-edge', index),
      CONFAB_NATS_SPINE_COMMANDS: spineFor('region-commands', index),
    })
  await Promise.all(names.map(startSpine))
  const started = await Promise.all(names.map(startServer))

  const regions = new Map(
    names.map((name, index): [string, TestRegion] => {
      const url = urlOf(portsOf(index).client, 'operator')
      const both = names.flatMap((_, other) =>
        other === index ? [] : [routes[index]![other]!, routes[other]![index]!],
      )
      const region: TestRegion = {
        name,
        port: portsOf(index).client,
        url,
        connect: async (user = 'operator') => {
          const nats = await connectAs(portsOf(index).client, user)
          closers.unshift(() => nats.close())
          return nats
        },
        link: links[index]!,
        routes: {
          hold: held => {
            for (const proxy of both) proxy.hold(held)
          },
        },
        stop: () => started[index]!.stop(),
        start: async () => {
          started[index] = await startServer(name, index)
        },
      }
      return [name, region]
    }),
  )
  const [home = '', ...others] = names
  const witness = others.pop()
  const text = `regions:
${names.map((name, index) => `  ${name}: {domain: ${name}, urls: ["nats://${local(portsOf(index).client)}"]${name === witness ? ', witness: true' : ''}}`).join('\n')}
streams:
  conv: {home: ${home}, mirrors: [${others.join(', ')}]}
  user: {home: ${home}, mirrors: [${others.join(', ')}]}
`
  const topologyFile = join(folder, 'topology.yaml')
  writeFileSync(topologyFile, text)
  const withCredentials = text.replaceAll(/nats:\/\/127\.0\.0\.1:(\d+)/g, (_, port: string) =>
    urlOf(Number(port), 'operator'),
  )
  const result: TestRegions = {
    regions,
    region: name => regions.get(name) as TestRegion,
    topology: parseTopology(topologyFile, withCredentials, loadStreams()),
    topologyFile,
  }
  await joined(result)
  return result
}

const connectAs = (port: number, user: NatsUser): Promise<Nats> =>
  connectNats({
    servers: urlOf(port, user),
    name: 'test',
    ...(user === 'operator' ? {} : { inboxPrefix: inboxPrefixOf(user) }),
  })

/** A subject that each kind of link passes, with the user of its account. The text of a message names its region. */
const passing: readonly (readonly [NatsUser, string])[] = [
  ['operator', 'mirror.test.test'],
  ['edge', 'sig.conv.test'],
  ['commands', CommandSubject.announcements],
]

/** Waits until messages pass from each region to each other one. */
const joined = async ({ regions }: TestRegions): Promise<void> => {
  const all = [...regions.values()]
  for (const [user, subject] of passing) {
    const connections = await Promise.all(
      all.map(async ({ name, port }) => ({ name, nats: await connectAs(port, user) })),
    )
    const received = new Set<string>()
    for (const { name, nats } of connections)
      nats.subscribe(subject, msg => received.add(`${msg.string()} to ${name}`))
    while (received.size < all.length ** 2) {
      for (const { name, nats } of connections) nats.connection.publish(subject, name)
      await sleep(20)
    }
    await Promise.all(connections.map(({ nats }) => nats.close()))
  }
}

export const definitions = loadStreams()

/** Applies the topology of `servers`. Returns connections to all regions. */
export const applied = async (servers: TestRegions): Promise<readonly OpenRegion[]> => {
  const open = await Promise.all(
    servers.topology.regions.map(async region => ({
      region,
      nats: await servers.region(region.name).connect(),
    })),
  )
  await applyRegions(servers.topology, open, definitions, {
    allowLoss: new Set(),
    onApplied: () => {},
  })
  return open
}
