import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export type ServiceName = 'cassandra' | 'elasticsearch' | 's3'

export interface Service {
  readonly host: string
  readonly port: number
  /** Whether the environment named it: then it is neither started nor stopped here. */
  readonly given: boolean
}

/** `pass` with `skip` is tap's way to say that something was left out. */
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

/** What a script exits with when the machine lacks what it needs; its last line of stderr says what. */
const lacksSomething = 3

/** Where the scripts keep programs and data, and where runs note who uses which server. */
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

/** Runs `fn` while no other process does so for this service. A lock whose owner is dead is taken over. */
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
      // Without a pid it was made just now, or its owner died in between.
      if (pid === undefined ? Date.now() - made > 5_000 : !isAlive(pid)) {
        rmSync(owner, { force: true })
        try {
          rmdirSync(lock)
        } catch {
          // Somebody else was quicker.
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
    // Not `close`: a server that kept a pipe open would hold it.
    child.once('exit', code => setImmediate(() => resolve({ code, output: output.trim() })))
  })

/** A run without this service is to fail rather than to skip. */
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

/** The service, or why there is none. */
const start = async (name: ServiceName): Promise<Service | string> => {
  if (!existsSync(scriptOf(name))) return `test/services/${name}.sh is missing`
  return await whileLocked(name, async () => {
    // First the note, so that the watchdog does not stop it in between.
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
 * A real server for a test: the one that `CONFAB_TEST_<NAME>=host:port` names, else the one of this machine, started
 * by test/services/<name>.sh when it isn't running. All test files share it, so that each takes a keyspace, an index, a
 * bucket of its own. It stays when the test ends; see test/services/README.md for who stops it.
 * Without one the test is skipped, or fails where `CONFAB_TEST_REQUIRE` lists it; the answer is `undefined` then.
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
