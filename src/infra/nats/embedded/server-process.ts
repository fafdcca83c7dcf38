import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { childEnvironment } from '../../../base/child-environment.ts'
import { sleep } from '../../../base/sleep.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import type { Credentials } from './server-address.ts'

/** Limit of one message in bytes. The largest is a snapshot of a large conversation; client frames are far smaller. */
export const maxPayload = 8 * 1024 * 1024

/**
 * When an acknowledged append is on disk.
 *
 * - `default`: the server syncs every two minutes. A power failure may lose the appends since then; the end of a
 *   process loses none.
 * - `always`: the server syncs before each ack, at a twelfth of the rate on one server and four fifths on a cluster of
 *   three.
 */
export const Durability = { default: 'default', always: 'always' } as const
export type Durability = (typeof Durability)[keyof typeof Durability]

export interface ServerConfig {
  readonly name: string
  /** 0: any free port; the server writes it to its ports file. */
  readonly port: number
  readonly storeDir: string
  readonly logFile: string
  readonly portsDir: string
  readonly durability: Durability
  readonly credentials: Credentials
}

const quote = (text: string): string => JSON.stringify(text)

/** Configuration of the embedded server: JetStream on the loopback interface, for clients with the credentials. */
export const serverConfig = (
  config: ServerConfig,
): string => `# confab writes this file at each start of the server.
server_name: ${quote(config.name)}
listen: "127.0.0.1:${config.port === 0 ? -1 : config.port}"
authorization { user: ${quote(config.credentials.user)}, password: ${quote(config.credentials.password)} }
max_payload: ${maxPayload}
ports_file_dir: ${quote(config.portsDir)}
log_file: ${quote(config.logFile)}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {
  store_dir: ${quote(config.storeDir)}
${config.durability === 'always' ? '  sync_interval: always\n' : ''}}
`

/**
 * Shell script that starts a guard and then becomes the server.
 *
 * The guard is a subshell that reads a pipe from this process. A line on the pipe means that the server has ended. The
 * end of the pipe without a line means that this process has ended, for whatever reason: the guard then stops the
 * server. The guard exists before the server, so the server never runs unguarded.
 */
const guarded = `
( if read -r _ <&3; then exit; fi
  kill -TERM $$; i=0
  while kill -0 $$ && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done
  kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" 3<&-`

/** A running nats-server, child of this process. */
export interface ServerProcess {
  readonly pid: number
  readonly port: number
  /** Resolves when the server has ended, with its exit code or signal. */
  readonly ended: Promise<string>
  /** Sends SIGTERM, and SIGKILL after 10 s. Resolves when the server has ended. */
  stop(): Promise<void>
}

const endedOf = (child: ChildProcess): Promise<string> =>
  new Promise(resolve => {
    child.once('error', error => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : signal))
  })

const portFrom = (portsFile: string): number | undefined => {
  try {
    const { nats } = JSON.parse(readFileSync(portsFile, 'utf8')) as { nats: string[] }
    return Number(new URL(nats[0] ?? '').port)
  } catch {
    return undefined
  }
}

/** The errors among the last lines of the server's log. */
const lastErrors = (logFile: string): string => {
  try {
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-5)
    return lines.filter(line => line.includes('[FTL]') || line.includes('[ERR]')).join('; ')
  } catch {
    return ''
  }
}

const hasTerminal = (): boolean => {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

/**
 * Starts a nats-server. `logFile` and `portsDir` are the ones in the configuration file. Resolves when the server is
 * ready. Throws NatsError.
 */
export const spawnServer = async (
  binary: string,
  configFile: string,
  { logFile, portsDir, env }: { logFile: string; portsDir: string; env?: Record<string, string> },
): Promise<ServerProcess> => {
  const child = spawn('sh', ['-c', guarded, 'sh', binary, '-c', configFile], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    // With a terminal, the server gets a session of its own, so that Ctrl-C reaches only this process, which drains
    // first. Without a terminal, it shares the session: Linux schedules each session as a group, and two groups that
    // share few cores delay each other.
    detached: hasTerminal(),
    env: childEnvironment('server', env),
  })
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000)
  })
  const guard = child.stdio[3] as Writable
  guard.on('error', () => {})
  let exit: string | undefined
  const ended = endedOf(child).then(how => {
    exit = how
    guard.end('over\n')
    return how
  })
  if (child.pid === undefined)
    throw new NatsError(NatsProblem.failed, `${binary} did not start: ${await ended}`)

  const portsFile = join(portsDir, `nats-server_${child.pid}.ports`)
  let port: number | undefined
  while (port === undefined) {
    if (exit !== undefined)
      throw new NatsError(
        NatsProblem.failed,
        `${binary} ended at start (${exit}): ${stderr.trim()} ${lastErrors(logFile)}`,
      )
    await sleep(5)
    port = portFrom(portsFile)
  }

  return {
    pid: child.pid,
    port,
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      const killTimer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(killTimer)
    },
  }
}
