import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startProxy } from '../harness/nats-proxy.ts'
import { startRegions, type TestRegions } from '../harness/nats-regions.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { unlimited } from '../harness/no-rates.ts'
import { type CommandResult, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import type { Edges } from './sender.ts'

interface Teardown {
  teardown(fn: () => unknown): void
}

/** Two regions, a and b, with an edge node, a commands node and views in each, and a witness, c. */
export interface DrilledSystem {
  readonly servers: TestRegions
  readonly edges: Edges
  edge(region: string): ConfabProcess
  /** The port at which an operator reaches the servers of region a: nothing passes there during the black hole. */
  readonly operatorPort: number
  /** While true, nothing passes between region a and the others, nor between it and operators. */
  blackHole(isOn: boolean): void
  /** Runs a command as an operator who is not in region a. Rejects unless it succeeds. */
  operator(...args: string[]): Promise<CommandResult>
  /** Starts the processes of region a again, with empty views. */
  restartA(): Promise<void>
}

const secret = 'a secret of at least thirty-two bytes'
const roles = ['edge', 'commands', 'projections'] as const satisfies readonly ProcessRole[]

/** Starts everything. `delayMs`: one way between the regions. */
export const startDrilledSystem = async (t: Teardown, delayMs: number): Promise<DrilledSystem> => {
  // A message between regions passes two links.
  const servers = await startRegions(t, { delayMs: delayMs / 2 })
  const folder = tempFolder(t)
  const { port } = servers.region('a')
  const operatorLink = await startProxy(port)
  t.teardown(() => operatorLink.close())
  const topologyFile = join(folder, 'topology.yaml')
  writeFileSync(
    topologyFile,
    readFileSync(servers.topologyFile, 'utf8').replace(`:${port}"`, `:${operatorLink.port}"`),
  )
  const operator = async (...args: string[]): Promise<CommandResult> => {
    const flags = ['--topology', topologyFile, '--nats', servers.region('b').url]
    const result = await runConfab([...args, ...flags])
    if (result.code === 0) return result
    throw new Error(`confab ${args.join(' ')} exited with ${result.code}: ${result.stderr}${result.stdout}`)
  }
  await operator('streams', 'apply')

  const processes = new Map<string, ConfabProcess>()
  const edges: Edges = new Map()
  const start = async (region: string, role: ProcessRole, generation: number): Promise<void> => {
    // The edge node reads the views that the projections write.
    const data = join(folder, `${region}-${role === 'commands' ? role : 'views'}-${generation}`)
    const confab = await spawnConfab({
      data,
      secret,
      env: {
        ...environmentOf(servers.region(region).port, role),
        CONFAB_MEDIA_FOLDER: join(folder, 'media'),
        ...unlimited,
      },
      args: ['--roles', role, '--topology', servers.topologyFile],
    })
    processes.set(`${region} ${role}`, confab)
    t.teardown(() => confab.stop())
    await untilReady(confab)
    if (role === 'edge') edges.set(region, confab.url)
  }
  const startAll = (region: string, generation: number): Promise<unknown> =>
    Promise.all(roles.map(role => start(region, role, generation)))
  await startAll('a', 1)
  await startAll('b', 1)
  return {
    servers,
    edges,
    edge: region => processes.get(`${region} edge`) as ConfabProcess,
    operatorPort: operatorLink.port,
    blackHole: isOn => {
      servers.region('a').link.hold(isOn)
      operatorLink.hold(isOn)
    },
    operator,
    restartA: async () => {
      await Promise.all(roles.map(role => (processes.get(`a ${role}`) as ConfabProcess).stop()))
      await startAll('a', 2)
    },
  }
}
