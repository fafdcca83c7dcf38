import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export type ServiceName = 'cassandra' | 'elasticsearch' | 's3'

export interface Service {
  readonly host: string
  readonly port: number
  /** Whether the environment named it: then the tests neither start nor stop it. */
  readonly given: boolean
}

/** `pass` with `skip` is how tap reports a skipped assertion. */
interface Asserts {
  pass(message: string, extra: { skip: string }): unknown
  fail(message: string): unknown
}

const scripts = resolve(import.meta.dirname, '../services')
const defaultPorts: Record<ServiceName, { env: string; port: number }> = {
  cassandra: { env: 'CASSANDRA_CQL_PORT', port: 19042 },
  elasticsearch: { env: 'ES_PORT', port: 19200 },
  s3: { env: 'S3_PORT', port: 17070 },
}

/** Exit code of a script when the machine lacks a requirement; the last line of stderr names it. */
const lacksSomething = 3

/** Returns the folder of the services' programs, data and usage notes. */
export const servicesFolder = (): string =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'confab-services')

export const usersFolder = (name: ServiceName): string => join(servicesFolder(), 'users', name)

export const scriptOf = (name: ServiceName): string => join(scripts, `${name}.sh`)

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Runs `fn` while no other process does for this service. The lock of a dead owner is taken over. */
export const whileLocked = async <T>(name: ServiceName, fn: () => Promise<T>): Promise<T> => {
  const lock = join(servicesFolder(), `${name}.lock`)
  const owner = join(lock, 'pid')
  mkdirSync(servicesFolder(), { recursive: true })
  for (;;) {
    try {
      mkdirSync(lock)
      break
    } catch {
      const pid = existsSync(owner) ? Number(readFileSync(owner, 'utf8')) : undefined
      const made = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
      // Without a pid the lock is new, or its owner died in between.
      if (pid === undefined ? Date.now() - made > 5_000 : !isAlive(pid)) {
        rmSync(owner, { force: true })
        try {
          rmdirSync(lock)
        } catch {
          // Another process was faster.
        }
      } else await sleep(100)
    }
  }
  writeFileSync(owner, String(process.pid))
  try {
    return await fn()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

/** Runs a service's script. */
export const runScript = (
  name: ServiceName,
  ...args: string[]
): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', [scriptOf(name), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const add = (chunk: Buffer) => {
      output += chunk
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.once('error', reject)
    // Not `close`: a server that kept a pipe open would delay it.
    child.once('exit', code => setImmediate(() => resolve({ code, output: output.trim() })))
  })

/** Whether a missing service is a failure instead of a skip. */
const isRequired = (name: ServiceName): boolean =>
  (process.env.CONFAB_TEST_REQUIRE ?? '').split(/[\s,]+/).includes(name)

const givenService = (name: ServiceName): Service | undefined => {
  const variable = `CONFAB_TEST_${name.toUpperCase()}`
  const value = process.env[variable]
  if (value === undefined || value === '') return undefined
  const [, host, port] = /^(?:https?:\/\/)?([^:/]+):(\d+)\/?$/.exec(value) ?? []
  if (host === undefined) throw new Error(`${variable} is host:port, not ${value}`)
  return { host, port: Number(port), given: true }
}

const started = new Map<ServiceName, Promise<Service | string>>()

/** Returns the service, or why there is none. */
const start = async (name: ServiceName): Promise<Service | string> => {
  if (!existsSync(scriptOf(name))) return `test/services/${name}.sh is missing`
  return await whileLocked(name, async () => {
    // Write the note first, so that the watchdog does not stop the service in between.
    mkdirSync(usersFolder(name), { recursive: true })
    writeFileSync(join(usersFolder(name), String(process.pid)), '')
    const { code, output } = await runScript(name, 'start')
    if (code === lacksSomething) return output.split('\n').at(-1) ?? `${name}.sh exited with ${code}`
    if (code !== 0) throw new Error(`${name}.sh start exited with ${code}:\n${output}`)
    spawn(process.execPath, [join(scripts, 'watchdog.ts'), name], { stdio: 'ignore', detached: true }).unref()
    const { env, port } = defaultPorts[name]
    return { host: '127.0.0.1', port: Number(process.env[env] ?? port), given: false }
  })
}

/**
 * Returns a real server for a test: the one that `CONFAB_TEST_<NAME>=host:port` names, else this machine's, started
 * with test/services/<name>.sh if needed. All test files share it, so each uses a keyspace, index or bucket of its
 * own. It keeps running after the test; see test/services/README.md. Without a server the test is skipped, or fails
 * if `CONFAB_TEST_REQUIRE` lists it, and the result is undefined.
 */
export const service = async (t: Asserts, name: ServiceName): Promise<Service | undefined> => {
  const given = givenService(name)
  if (given !== undefined) return given
  const starting = started.get(name) ?? start(name)
  started.set(name, starting)
  const found = await starting
  if (typeof found !== 'string') return found
  if (isRequired(name)) t.fail(`${name} is required: ${found}`)
  else t.pass(name, { skip: found })
  return undefined
}
