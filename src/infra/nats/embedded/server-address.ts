import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** `<data>/nats.json`: where the server of a data folder is, or was. */
export interface ServerRecord {
  readonly url: string
  readonly pid: number
}

const recordFile = (dataDir: string): string => join(dataDir, 'nats.json')

export const configFileOf = (dataDir: string): string => join(dataDir, 'nats', 'nats-server.conf')

export const writeRecord = (dataDir: string, record: ServerRecord): void => {
  const file = recordFile(dataDir)
  writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`)
  renameSync(`${file}.new`, file)
}

export const readRecord = (dataDir: string): ServerRecord | undefined => {
  try {
    return JSON.parse(readFileSync(recordFile(dataDir), 'utf8')) as ServerRecord
  } catch {
    return undefined
  }
}

const commandLine = (pid: number): string => {
  try {
    return existsSync('/proc/self/cmdline')
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      : execFileSync('ps', ['-p', String(pid), '-o', 'args='], { encoding: 'utf8' })
  } catch {
    return ''
  }
}

/** Whether the recorded server still runs: its pid may be another's by now. */
export const isRunning = (dataDir: string, record: ServerRecord): boolean =>
  commandLine(record.pid).includes(configFileOf(dataDir))

/**
 * Where the server that a process keeps on this folder listens; undefined when none runs. What `--data` beside a running `confab serve` asks.
 */
export const findRunningServer = (dataDir: string): ServerRecord | undefined => {
  const record = readRecord(dataDir)
  return record !== undefined && isRunning(dataDir, record) ? record : undefined
}

/** Waits for a server whose keeper is gone to be gone too, and helps it along: two servers must never write one folder. */
export const endLeftover = async (dataDir: string): Promise<void> => {
  for (let tries = 0; tries < 200; tries++) {
    const record = findRunningServer(dataDir)
    if (record === undefined) return
    try {
      if (tries === 20) process.kill(record.pid, 'SIGTERM')
      if (tries === 150) process.kill(record.pid, 'SIGKILL')
    } catch {
      // It ended in between.
    }
    await sleep(50)
  }
}
