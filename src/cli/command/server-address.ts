import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import type { Command } from 'commander'
import { writePrivateFile } from '../../base/private-files.ts'
import { hideSecret, hideUrlCredentials } from '../../base/redact.ts'
import { tlsErrorCode } from '../../base/tls-error.ts'
import { readAuthorities } from '../../base/tls-files.ts'
import { type ConfabClient, createClient } from '../../client/index.ts'
import { ensureDataFolder } from '../../infra/config/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'
import { addConfigFlags, configOf, type SystemFlags, userIdOf } from './config-flags.ts'

/**
 * Address of a process that uses a data folder. `<data>/serve.json` holds the one of the edge, for commands that are
 * clients.
 */
export interface ServeRecord {
  readonly url: string
  /** Address of the admin listener; missing when that is off. */
  readonly adminUrl?: string | undefined
  readonly pid: number
  readonly roles: readonly string[]
}

/** Processes without the role edge have a file each, because several may use one data folder. */
const recordFile = (data: string, roles: readonly string[]): string =>
  join(data, roles.includes('edge') ? 'serve.json' : `serve-${[...roles].sort().join('-')}.json`)

export const writeServeRecord = (data: string, record: Omit<ServeRecord, 'pid'>): void => {
  ensureDataFolder(data)
  writePrivateFile(recordFile(data, record.roles), `${JSON.stringify({ ...record, pid: process.pid })}\n`)
}

/** Removes the record of this process. Keeps the record of another process that replaced it. */
export const removeServeRecord = (data: string, roles: readonly string[]): void => {
  const file = recordFile(data, roles)
  if (readRecord(file)?.pid === process.pid) rmSync(file, { force: true })
}

const readRecord = (file: string): ServeRecord | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ServeRecord
  } catch {
    return undefined
  }
}

/** Returns the record of the process that serves clients from a data folder. */
export const readServeRecord = (data: string): ServeRecord | undefined =>
  readRecord(recordFile(data, ['edge']))

/** Returns the records of all processes that use a data folder, including processes that crashed. */
export const readServeRecords = (data: string): readonly ServeRecord[] => {
  let names: string[]
  try {
    names = readdirSync(data)
  } catch {
    return []
  }
  return names
    .filter(name => /^serve.*\.json$/.test(name))
    .map(name => readRecord(join(data, name)))
    .filter(record => record !== undefined)
}

export interface ClientFlags extends SystemFlags {
  readonly user: string
  readonly url?: string
  readonly token?: string
  readonly ca?: string
}

/** Adds the flags of commands that are clients of a server. */
export const addClientOptions = (command: Command): Command =>
  addConfigFlags(command.requiredOption('--user <id>', 'User to act as'), ['data'])
    .option('--url <url>', 'Address of the server (default: the server that runs on the data folder)')
    .option(
      '--token <token>',
      'Token of the user (default: a development token of the server, which needs --dev)',
    )
    .option(
      '--ca <file>',
      "PEM file of the authority of the server's certificate, besides those that Node trusts",
    )

/** Makes the connections of this process trust the authorities in a file. Throws TlsError. */
const trust = (ca: string): void => {
  const { text } = readAuthorities({ option: '--ca', file: resolve(ca) })
  setDefaultCACertificates([...getCACertificates('default'), text])
}

/** Throws CliError when the certificate of a server is not accepted: the client would retry for ever. */
const requireTrusted = async (url: string): Promise<void> => {
  if (!url.startsWith('https:')) return
  try {
    await fetch(`${url}/healthz`, { method: 'HEAD' })
  } catch (error) {
    if (tlsErrorCode(error) !== undefined)
      throw new CliError(
        'BAD_OPTION',
        `TLS with ${url} fails: ${(error as { cause?: Error }).cause?.message}: name the authority of its certificate with --ca, and a host of the certificate with --url`,
        error,
      )
  }
}

const devToken = async (url: string, user: string): Promise<string> => {
  let answer: Response
  try {
    answer = await fetch(`${url}/v1/dev/token?user=${encodeURIComponent(user)}`)
  } catch (error) {
    throw new CliError(
      'NO_SERVER',
      `no server answers at ${url}: start "confab serve", or name another server with --url`,
      {
        cause: error,
      },
    )
  }
  if (answer.status === 404)
    throw new CliError(
      'BAD_OPTION',
      `the server at ${url} does not sign development tokens: pass a token with --token (see "confab token")`,
    )
  // confab answers in JSON.
  const body = (await answer.json().catch(() => null)) as {
    token?: string
    error?: { message?: string }
  } | null
  if (typeof body?.token === 'string') return body.token
  const why = body?.error?.message
  if (why === undefined)
    throw new CliError('NO_SERVER', `the server at ${url} is not confab: name another with --url`)
  throw new CliError('BAD_OPTION', `the server at ${url} refuses to sign a token for ${user}: ${why}`)
}

/** Returns the address of the server that flags name. Throws CliError when no server runs on a given data folder. */
const urlOf = (flags: ClientFlags): string => {
  if (flags.url !== undefined) return flags.url
  const { data } = configOf(flags)
  const record = readServeRecord(data)
  if (record !== undefined) return record.url
  if (flags.data === undefined) return 'http://127.0.0.1:8080'
  throw new CliError(
    'NO_SERVER',
    existsSync(data)
      ? `no edge server runs on ${data}: start "confab serve", or name a server with --url`
      : `the folder ${data} does not exist: name the data folder of a server with --data, or the server with --url`,
  )
}

/** Connects a client to the server that flags name; retries until `signal` aborts. Throws CliError, RequestError. */
export const connectClient = async (flags: ClientFlags, signal?: AbortSignal): Promise<ConfabClient> => {
  const user = userIdOf(flags.user)
  if (flags.token !== undefined) hideSecret(flags.token)
  if (flags.url !== undefined) hideUrlCredentials(flags.url)
  if (flags.ca !== undefined) trust(flags.ca)
  const url = urlOf(flags).replace(/\/+$/, '')
  await requireTrusted(url)
  const token = flags.token ?? (() => devToken(url, user))
  if (typeof token === 'function') await token()
  const client = createClient({ url: `${url.replace(/^http/, 'ws')}/v1/ws`, token })
  const close = (): void => client.close()
  const off = client.on('state', state => {
    if (state !== 'waiting') return
    off()
    note(`no connection to ${url} yet, retrying`)
  })
  signal?.addEventListener('abort', close)
  try {
    await client.connect()
    return client
  } catch (error) {
    throw signal?.aborted === true
      ? new CliError('INTERRUPTED', `no connection to ${url}: check that the server is running`)
      : error
  } finally {
    off()
    signal?.removeEventListener('abort', close)
  }
}
