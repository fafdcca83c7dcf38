import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'

/** A process that the benchmark started, with a channel for messages. */
export interface Child {
  readonly pid: number
  /** Sends a message and resolves with the next answer. Rejects when the process ends first. */
  ask<T>(message: object): Promise<T>
  /** Resolves with the next message. */
  next<T>(): Promise<T>
  /** Resolves with the first line of its standard output. Rejects when the process ends first. */
  firstLine(): Promise<string>
  /** Returns its standard error so far (the last 4,000 characters). */
  complaints(): string
  /** Reads its standard output to the end and counts the lines. */
  countLines(): Promise<number>
  /** Resolves with the exit code when it has ended (null after a signal). */
  readonly ended: Promise<number | null>
  /** Sends SIGTERM, and SIGKILL after 15 s. Resolves when the process has ended. */
  stop(): Promise<void>
}

export interface ChildOptions {
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Default `pipe`: for `countLines`, otherwise discarded. */
  readonly stdout?: 'pipe' | 'ignore'
}

const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

const track = (child: ChildProcess): Child => {
  if (child.pid === undefined) throw new Error('the process did not start')
  running.add(child)
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-4000)
  })
  child.stdout?.resume()
  const ended = once(child, 'exit').then(([code]: unknown[]) => {
    running.delete(child)
    return code as number | null
  })
  const next = <T>(): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const onMessage = (message: unknown) => {
        child.off('exit', onExit)
        resolve(message as T)
      }
      const onExit = () => {
        child.off('message', onMessage)
        reject(new Error(`process ${child.pid} ended: ${stderr}`))
      }
      child.once('message', onMessage)
      child.once('exit', onExit)
    })
  return {
    pid: child.pid,
    next,
    ask: message => {
      const answer = next()
      child.send(message)
      return answer as Promise<never>
    },
    countLines: async () => {
      let lines = 0
      child.stdout?.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++
      })
      await once(child, 'close')
      return lines
    },
    firstLine: async () => {
      let text = ''
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      while (!text.includes('\n')) {
        const isOver = await Promise.race([ended.then(() => true), wait(5)])
        if (isOver === true) throw new Error(`process ${child.pid} ended: ${stderr}`)
      }
      return text.slice(0, text.indexOf('\n'))
    },
    complaints: () => stderr,
    ended,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        const limit = setTimeout(() => child.kill('SIGKILL'), 15_000)
        await ended
        clearTimeout(limit)
      }
    },
  }
}

/** Starts a TypeScript file as a process of its own, with a message channel. */
export const startScript = (file: string, args: readonly string[] = [], options: ChildOptions = {}): Child =>
  track(
    spawn(process.execPath, [...(options.nodeFlags ?? []), file, ...args], {
      stdio: ['ignore', options.stdout ?? 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...options.env },
    }),
  )

/** Starts any program. Its standard input ends with the benchmark. */
export const startProgram = (
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Child => track(spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } }))
