import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectNats, type Nats, type NatsOptions } from '../../src/infra/nats/client/connection.ts'
import { freePorts } from './free-ports.ts'
import { type CommandResult, runConfab } from './replay.ts'
import { runbookCommands } from './runbook.ts'
import { tempFolder } from './temp-folder.ts'

/** The set-ups of ops/nats/start.sh. */
export type Setup = 'single' | 'cluster' | 'edge-site' | 'regions' | 'two-regions'

/** A user of nats/tls/users.conf, or an edge process beside the leaf node of an edge site. */
export type SetupUser =
  | 'edge'
  | 'commands'
  | 'projections'
  | 'several-roles'
  | 'operator'
  | 'analyst'
  | 'site'

/** NATS servers that ops/nats/start.sh started: with TLS, and users by certificate. */
export interface NatsSetup {
  readonly folder: string
  /** Ports of clients, of routes and of leaf nodes, each by server. */
  readonly ports: readonly { readonly client: number; readonly route: number; readonly leaf: number }[]
  /** Returns the path of a certificate or key of `confab certs`: `edge`, `edge-key`. */
  certificate(name: string): string
  /** The variables with which confab connects as a user, as the script wrote them. */
  environment(user: SetupUser): Record<string, string>
  connectAs(user: SetupUser, more?: Partial<NatsOptions>): Promise<Nats>
  /** Runs a command as operator until it succeeds: a cluster needs some time until it has a leader. */
  operate(...args: string[]): Promise<CommandResult>
  /** The log of a server: `n1`, `site`. */
  log(server: string): string
  /** Sends SIGTERM to the script. Resolves with its exit code. */
  stop(): Promise<number | null>
}

const exportLines = /^export (\w+)=(.*)$/gm

interface Teardown {
  teardown(fn: () => unknown): void
}

/** Runs the script until the end of standard input, which is also that of a test that is killed. */
const guarded = 'sh ops/nats/start.sh "$@" & read -r _; kill -TERM $!; wait $!'

/** Starts a set-up in a temporary folder; the end of the test stops and removes it. */
export const startSetup = async (t: Teardown, setup: Setup): Promise<NatsSetup> => {
  const work = tempFolder(t)
  const folder = join(work, 'nats')
  // The script uses ports at fixed distances from the first one.
  const [first = 0] = (await freePorts(40)).sort((one, other) => one - other)
  const script = spawn('sh', ['-c', guarded, 'sh', setup, String(first), folder], {
    cwd: join(import.meta.dirname, '../..'),
    env: { PATH: await runbookCommands(work) },
    stdio: 'pipe',
  })
  const ended = once(script, 'exit')
  script.stdin.on('error', () => {})
  const stop = async (): Promise<number | null> => {
    script.stdin.end()
    return ((await ended) as [number | null])[0]
  }
  const closers: (() => Promise<void>)[] = []
  t.teardown(async () => {
    await Promise.all(closers.map(close => close()))
    await stop()
  })
  let output = ''
  for (const stream of [script.stdout, script.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  while (!/confab (serve|region status)/.test(output)) {
    if (output.includes(' ended: ')) throw new Error(`ops/nats/start.sh: ${output}`)
    await sleep(20)
  }
  const environment = (user: SetupUser): Record<string, string> =>
    Object.fromEntries(
      [...readFileSync(join(folder, `${user}.env`), 'utf8').matchAll(exportLines)].map(
        ([, name = '', value = '']) => [name, value],
      ),
    )
  return {
    folder,
    ports: [0, 10, 20].map(offset => ({
      client: first + offset,
      route: first + offset + 1,
      leaf: first + offset + 2,
    })),
    certificate: name => join(folder, 'certs', `${name}.pem`),
    environment,
    connectAs: async (user, more = {}) => {
      const env = environment(user)
      const nats = await connectNats({
        servers: env.CONFAB_NATS ?? '',
        inboxPrefix: env.CONFAB_NATS_INBOX_PREFIX,
        tls: {
          caFile: env.CONFAB_NATS_TLS_CA,
          certFile: env.CONFAB_NATS_TLS_CERT,
          keyFile: env.CONFAB_NATS_TLS_KEY,
        },
        name: `test ${user}`,
        ...more,
      })
      closers.push(() => nats.close())
      return nats
    },
    operate: async (...args) => {
      for (let left = 20; ; left--) {
        const result = await runConfab(args, environment('operator'))
        if (result.code === 0 || left === 0) return result
        await sleep(500)
      }
    },
    log: server => readFileSync(join(folder, `${server}.log`), 'utf8'),
    stop,
  }
}
