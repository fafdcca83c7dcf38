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

/** Returns the log as `confab replay` prints it, by conversation. */
export const replayLog = async (from: readonly string[]): Promise<Map<string, SeenEvent[]>> => {
  const { code, stdout, stderr } = await runConfab(['replay', '--format', 'ndjson', ...from])
  if (code !== 0) throw new Error(`replay exited with ${code}: ${stderr}`)
  const log = new Map<string, SeenEvent[]>()
  for (const line of stdout.split('\n')) {
    if (line === '') continue
    const { stream, streamSeq, ...event } = JSON.parse(line) as SeenEvent
    if (typeof event.c !== 'string' || event.t !== 'event') continue
    const events = log.get(event.c) ?? []
    events.push(event as SeenEvent)
    log.set(event.c, events)
  }
  return log
}
