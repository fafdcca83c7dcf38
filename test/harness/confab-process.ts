import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-ports.ts'

const root = resolve(import.meta.dirname, '../..')

/** Timeout of a stop, ms: more than several components are given. */
const endsWithinMs = 60_000

export interface ConfabProcess {
  readonly url: string
  /** Address of the admin listener. */
  readonly adminUrl: string
  readonly pid: number
  /** Returns stdout and stderr so far. */
  output(): string
  /** Resolves when it exits by itself. */
  exited(): Promise<number | null>
  /** Sends SIGTERM; resolves with the exit code. Rejects with the output when it does not exit. */
  stop(): Promise<number | null>
  kill9(): Promise<void>
  token(user: string): Promise<string>
}

export interface ProcessOptions {
  data: string
  port?: number
  /** Existing servers instead of an embedded one. */
  nats?: string
  /** A shared development secret: tokens of one process are valid at all. */
  secret?: string
  args?: readonly string[]
  env?: Record<string, string>
  /** Default: true. */
  dev?: boolean
  /** Whether the options give the public listener a certificate for `localhost`. */
  tls?: boolean
}

/** Gives a data folder this development secret. */
export const writeDevSecret = (data: string, secret: string): void => {
  mkdirSync(data, { recursive: true })
  writeFileSync(join(data, 'dev-secret'), secret, { mode: 0o600 })
}

/** Starts `confab serve`, with `--dev` unless told otherwise, as a user does. Not ready yet: see `untilReady`. */
export const spawnConfab = async (options: ProcessOptions): Promise<ConfabProcess> => {
  const port = options.port ?? (await freePort())
  const adminPort = await freePort()
  const env: NodeJS.ProcessEnv = { ...process.env, ...options.env }
  // Of the tests: a server warns about variables that it does not know.
  delete env.CONFAB_TEST_REQUIRE
  if (options.nats !== undefined) env.CONFAB_NATS = options.nats
  if (options.secret !== undefined) writeDevSecret(options.data, options.secret)
  const args = [
    'src/cli/main.ts',
    'serve',
    ...(options.dev === false ? [] : ['--dev']),
    '--port',
    String(port),
    '--admin-port',
    String(adminPort),
    '--data',
    options.data,
    ...(options.args ?? []),
  ]
  const child: ChildProcess = spawn(process.execPath, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let isKilled = false
  child.stdout?.on('data', chunk => {
    output += chunk
  })
  child.stderr?.on('data', chunk => {
    output += chunk
  })
  const exit = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  const url = options.tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`
  return {
    url,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    pid: child.pid!,
    output: () => output,
    exited: () => exit,
    stop: async () => {
      child.kill('SIGTERM')
      const hangs = setTimeout(() => child.kill('SIGKILL'), endsWithinMs)
      const code = await exit
      clearTimeout(hangs)
      // null also after a kill by another process; then the timeout is not the cause.
      if (code === null && child.signalCode === 'SIGKILL' && !isKilled)
        throw new Error(`confab did not end in ${endsWithinMs} ms:\n${output}`)
      return code
    },
    kill9: async () => {
      isKilled = true
      child.kill('SIGKILL')
      await exit
    },
    token: async user => {
      const answer = await fetch(`${url}/v1/dev/token?user=${user}`)
      return ((await answer.json()) as { token: string }).token
    },
  }
}

/** Waits until `/readyz` answers 200; throws with the output when the process exits first. */
export const untilReady = async (confab: ConfabProcess): Promise<ConfabProcess> => {
  let over = false
  void confab.exited().then(() => {
    over = true
  })
  for (;;) {
    const answer = await fetch(`${confab.url}/readyz`).catch(() => undefined)
    if (answer?.status === 200) return confab
    if (over) throw new Error(`confab exited before it was ready:\n${confab.output()}`)
    await sleep(25)
  }
}

/** The answer of `/readyz` of an admin listener. */
export interface Readiness {
  readonly ok: boolean
  readonly parts: Readonly<Record<string, boolean | string>>
}

/** Asks a process for its readiness, with that of each component. */
export const readinessOf = async ({ adminUrl }: ConfabProcess): Promise<Readiness> =>
  (await (await fetch(`${adminUrl}/readyz`)).json()) as Readiness
