import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import type { SeenEvent } from './outsider.ts'

const root = resolve(import.meta.dirname, '../..')

export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs `confab <args>` to its end. */
export const runConfab = (
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CommandResult> =>
  new Promise(done => {
    const child = spawn(process.execPath, ['src/cli/main.ts', ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const result: CommandResult = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8')
    child.stderr.setEncoding('utf8')
    child.stdout.on('data', chunk => {
      result.stdout += chunk
    })
    child.stderr.on('data', chunk => {
      result.stderr += chunk
    })
    child.once('close', code => done({ ...result, code }))
  })

/** An event of the log with its place in a stream. */
export interface StoredEvent {
  readonly stream: string
  readonly streamSeq: number
  readonly event: SeenEvent
}

/** Returns the events of conversations in the order in which `confab replay` prints them. */
export const replayEvents = async (from: readonly string[]): Promise<StoredEvent[]> => {
  const { code, stdout, stderr } = await runConfab(['replay', '--format', 'ndjson', ...from])
  if (code !== 0) throw new Error(`replay exited with ${code}: ${stderr}`)
  const stored: StoredEvent[] = []
  for (const line of stdout.split('\n')) {
    if (line === '') continue
    const { stream, streamSeq, ...event } = JSON.parse(line) as SeenEvent
    if (typeof event.c !== 'string' || event.t !== 'event') continue
    stored.push({ stream: String(stream), streamSeq: Number(streamSeq), event: event as SeenEvent })
  }
  return stored
}

/** Returns events by conversation. */
export const byConversation = (stored: readonly StoredEvent[]): Map<string, SeenEvent[]> => {
  const log = new Map<string, SeenEvent[]>()
  for (const { event } of stored) {
    const events = log.get(event.c) ?? []
    events.push(event)
    log.set(event.c, events)
  }
  return log
}

/** Returns the log as `confab replay` prints it, by conversation. */
export const replayLog = async (from: readonly string[]): Promise<Map<string, SeenEvent[]>> =>
  byConversation(await replayEvents(from))
