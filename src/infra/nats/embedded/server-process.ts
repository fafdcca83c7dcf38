import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

/** Bytes in the largest message: a snapshot of a large conversation. Clients' frames are far smaller. */
export const maxPayload = 8 * 1024 * 1024

/**
 * When an acked append is on disk. `default`: the server syncs every two minutes, a power failure may lose what came since; a killed process loses nothing.
 * `always`: before each ack; a twelfth of the rate on a single server, four fifths of it on a cluster of three.
 */
export const Durability = { default: 'default', always: 'always' } as const
export type Durability = (typeof Durability)[keyof typeof Durability]

export interface ServerConfig {
  readonly name: string
  /** 0: a free one, told in the ports file. */
  readonly port: number
  readonly storeDir: string
  readonly logFile: string
  readonly portsDir: string
  readonly durability: Durability
}

const quote = (text: string): string => JSON.stringify(text)

/** The configuration of the embedded server: loopback only, JetStream, nothing else. */
export const serverConfig = (config: ServerConfig): string => `# Written at each start.
server_name: ${quote(config.name)}
listen: "127.0.0.1:${config.port === 0 ? -1 : config.port}"
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
 * The shell becomes the server, after it has left a guard behind: a subshell that reads a pipe of ours. A line says that all is over; the pipe's end without
 * one says that we died, however it was, and the guard takes the server along. There is no moment at which the server runs unguarded.
 */
const guarded = `
( if read -r _ <&3; then exit; fi
  kill -TERM $$; i=0
  while kill -0 $$ && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done
  kill -KILL $$ ) >/dev/null 2>&1 &
exec "$@" 3<&-`

/** A running nats-server, our child. */
export interface ServerProcess {
  readonly pid: number
  readonly port: number
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>
  /** Ends it: SIGTERM, after 10 s SIGKILL. */
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

/** What the server logged as its reason to give up. */
const lastWords = (logFile: string): string => {
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

/** Starts a nats-server on a configuration that names this log file and ports folder; resolves once it is ready. Throws NatsError. */
export const spawnServer = async (
  binary: string,
  configFile: string,
  { logFile, portsDir, env }: { logFile: string; portsDir: string; env?: Record<string, string> },
): Promise<ServerProcess> => {
  const child = spawn('sh', ['-c', guarded, 'sh', binary, '-c', configFile], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    // A terminal's Ctrl-C is for us, who drain first: a session of its own. Only then: Linux schedules sessions as groups, and two that share the cores
    // of a small machine wait for each other.
    detached: hasTerminal(),
    env: { ...process.env, ...env },
  })
  let complaint = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000)
  })
  const guard = child.stdio[3] as Writable
  guard.on('error', () => {})
  let over: string | undefined
  const ended = endedOf(child).then(how => {
    over = how
    guard.end('over\n')
    return how
  })
  if (child.pid === undefined)
    throw new NatsError(NatsProblem.failed, `${binary} did not start: ${await ended}`)

  const portsFile = join(portsDir, `nats-server_${child.pid}.ports`)
  let port: number | undefined
  while (port === undefined) {
    if (over !== undefined)
      throw new NatsError(
        NatsProblem.failed,
        `${binary} ended at start (${over}): ${complaint.trim()} ${lastWords(logFile)}`,
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
      const patience = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(patience)
    },
  }
}
