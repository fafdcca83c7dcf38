import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type ConfabClient, createClient } from '../../client/index.ts'
import { ensureDataFolder } from '../../infra/config/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'
import { configOf, type SystemFlags } from './system-options.ts'

/** Where a process that uses a data folder listens: in `<data>/serve.json` the one that serves clients, for the commands that are clients. */
export interface ServeRecord {
  readonly url: string
  readonly pid: number
  readonly roles: readonly string[]
}

/** Processes of other roles have a file each: several may use one folder. */
const recordFile = (data: string, roles: readonly string[]): string =>
  join(data, roles.includes('edge') ? 'serve.json' : `serve-${[...roles].sort().join('-')}.json`)

export const writeServeRecord = (data: string, record: Omit<ServeRecord, 'pid'>): void => {
  ensureDataFolder(data)
  writeFileSync(recordFile(data, record.roles), `${JSON.stringify({ ...record, pid: process.pid })}\n`)
}

/** Removes this process' record; that of another which has taken its place stays. */
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

/** Of the process that serves clients from a data folder. */
export const readServeRecord = (data: string): ServeRecord | undefined =>
  readRecord(recordFile(data, ['edge']))

/** Of all processes that use a data folder, or have ended without a word. */
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
}

/** The flags of the commands that are clients of a server. */
export const addClientOptions = (command: Command): Command =>
  command
    .requiredOption('--user <id>', 'who to be')
    .option('--url <url>', 'the server (default: the one that runs on the data folder)')
    .option('--token <token>', 'a token of that user (default: one that a server with --dev gives)')
    .option('--data <folder>', "confab's data folder (default: .confab)")

const devToken = async (url: string, user: string): Promise<string> => {
  let answer: Response
  try {
    answer = await fetch(`${url}/v1/dev/token?user=${encodeURIComponent(user)}`)
  } catch (error) {
    throw new CliError('NO_SERVER', `no server answers at ${url}: is "confab serve" running?`, {
      cause: error,
    })
  }
  if (answer.status === 404)
    throw new CliError(
      'BAD_OPTION',
      `the server at ${url} gives no development tokens: pass one with --token (see "confab token")`,
    )
  // What is no JSON is not of confab.
  const body = (await answer.json().catch(() => null)) as {
    token?: string
    error?: { message?: string }
  } | null
  if (typeof body?.token === 'string') return body.token
  const why = body?.error?.message
  if (why === undefined) throw new CliError('NO_SERVER', `what answers at ${url} is no confab`)
  throw new CliError('BAD_OPTION', `the server at ${url} gives no token for ${user}: ${why}`)
}

/** Where the server is that flags name. Throws CliError where a data folder was named and no server runs on it: another's would be used. */
const urlOf = (flags: ClientFlags): string => {
  if (flags.url !== undefined) return flags.url
  const { data } = configOf(flags)
  const record = readServeRecord(data)
  if (record !== undefined) return record.url
  if (flags.data === undefined) return 'http://127.0.0.1:8080'
  throw new CliError(
    'NO_SERVER',
    existsSync(data)
      ? `no server for clients runs on ${data}: start "confab serve", or name one with --url`
      : `there is no folder ${data}: name the data folder of a server with --data, or the server with --url`,
  )
}

/** A connected client of the server that flags name; it is tried until `signal` aborts. Throws CliError, RequestError. */
export const connectClient = async (flags: ClientFlags, signal?: AbortSignal): Promise<ConfabClient> => {
  const url = urlOf(flags).replace(/\/+$/, '')
  const token = flags.token ?? (() => devToken(url, flags.user))
  if (typeof token === 'function') await token()
  const client = createClient({ url: `${url.replace(/^http/, 'ws')}/v1/ws`, token })
  const close = (): void => client.close()
  const off = client.on('state', state => {
    if (state !== 'waiting') return
    off()
    note(`no connection to ${url} yet: trying again`)
  })
  signal?.addEventListener('abort', close)
  try {
    await client.connect()
    return client
  } catch (error) {
    throw signal?.aborted === true ? new CliError('INTERRUPTED', `no connection to ${url}`) : error
  } finally {
    off()
    signal?.removeEventListener('abort', close)
  }
}
