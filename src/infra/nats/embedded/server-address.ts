import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { childEnvironment } from '../../../base/child-environment.ts'
import { writePrivateFile } from '../../../base/private-files.ts'
import { sleep } from '../../../base/sleep.ts'

/**
 * `<data>/nats.json`: address and process id of the server that runs, or last ran, on a data folder. Only its owner can
 * read the file.
 */
export interface ServerRecord {
  /** With the credentials of this data folder: `nats://confab:…@127.0.0.1:4222`. */
  readonly url: string
  readonly pid: number
}

const recordFile = (dataDir: string): string => join(dataDir, 'nats.json')

export const configFileOf = (dataDir: string): string => join(dataDir, 'nats', 'nats-server.conf')

export const writeRecord = (dataDir: string, record: ServerRecord): void => {
  const file = recordFile(dataDir)
  writePrivateFile(`${file}.new`, `${JSON.stringify(record)}\n`)
  renameSync(`${file}.new`, file)
}

export const readRecord = (dataDir: string): ServerRecord | undefined => {
  try {
    return JSON.parse(readFileSync(recordFile(dataDir), 'utf8')) as ServerRecord
  } catch {
    return undefined
  }
}

/** User and password of the embedded server's clients. */
export interface Credentials {
  readonly user: string
  readonly password: string
}

/**
 * The credentials of a data folder: random, created once, and kept over restarts, so that other processes that are
 * connected can reconnect.
 */
export const credentialsOf = (dataDir: string): Credentials => {
  const { username = '', password = '' } = URL.parse(readRecord(dataDir)?.url ?? '') ?? {}
  return password === ''
    ? { user: 'confab', password: randomBytes(32).toString('base64url') }
    : { user: username, password }
}

/** Address of the embedded server on a port. */
export const embeddedUrl = (port: number, { user, password }: Credentials): string =>
  `nats://${user}:${password}@127.0.0.1:${port}`

const commandLine = (pid: number): string => {
  try {
    return existsSync('/proc/self/cmdline')
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      : execFileSync('ps', ['-p', String(pid), '-o', 'args='], { encoding: 'utf8', env: childEnvironment() })
  } catch {
    return ''
  }
}

/** Whether the recorded server still runs. The command line decides: another process may have reused the id. */
export const isRunning = (dataDir: string, record: ServerRecord): boolean =>
  commandLine(record.pid).includes(configFileOf(dataDir))

/** The server that runs on a data folder; undefined when none does. */
export const findRunningServer = (dataDir: string): ServerRecord | undefined => {
  const record = readRecord(dataDir)
  return record !== undefined && isRunning(dataDir, record) ? record : undefined
}

const leftoverLooks = 200
const leftoverEveryMs = 50
/** Looks before SIGTERM (1 s), and before SIGKILL (7.5 s). */
const termAfterLooks = 20
const killAfterLooks = 150

/**
 * Waits up to 10 s until a server whose owner has ended is gone, and kills it when it does not end by itself. Two
 * servers must never write to one folder.
 */
export const endLeftover = async (dataDir: string): Promise<void> => {
  for (let look = 0; look < leftoverLooks; look++) {
    const record = findRunningServer(dataDir)
    if (record === undefined) return
    try {
      if (look === termAfterLooks) process.kill(record.pid, 'SIGTERM')
      if (look === killAfterLooks) process.kill(record.pid, 'SIGKILL')
    } catch {
      // The server ended meanwhile.
    }
    await sleep(leftoverEveryMs)
  }
}
