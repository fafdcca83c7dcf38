import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { findNatsServer } from '../../src/infra/nats/embedded/nats-binary.ts'
import { freePort } from './free-ports.ts'
import { tempFolder } from './temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

/** The folder of the runbooks. */
export const runbooks = join(root, 'docs/operations')

/** Pages about a cluster, in the order in which they run on one system: the first one installs it. */
export const clusterPages = ['install-cluster.md', 'scale.md', 'lose-node.md', 'upgrade.md']

export const readRunbook = (name: string): string => readFileSync(join(runbooks, name), 'utf8')

/** `RECORD_RUNBOOKS=1` writes the output of the commands into the pages. */
const isRecording = process.env.RECORD_RUNBOOKS === '1'

export interface CommandResult {
  readonly code: number | null
  /** stdout and stderr. */
  readonly output: string
}

/** Where the commands of a page run. */
export interface RunbookSystem {
  run(command: string): Promise<CommandResult>
  /** Does what a comment of the page says. */
  direct?(comment: string): Promise<void> | void
  /** Stores a file that the page shows. */
  write?(name: string, content: string): void
}

/** Creates the commands `confab` and `nats-server` of the pages. Returns a PATH with them. */
export const runbookCommands = async (work: string): Promise<string> => {
  const bin = join(work, 'bin')
  mkdirSync(bin)
  const main = join(root, 'src/cli/main.ts')
  writeFileSync(join(bin, 'confab'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`, {
    mode: 0o755,
  })
  symlinkSync((await findNatsServer()).path, join(bin, 'nats-server'))
  return `${bin}${delimiter}${process.env.PATH}`
}

/** Environment of the commands of pages: without variables of confab and of the test runner. */
export const runbookEnvironment = (more: Record<string, string>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(CONFAB_|TAP|NODE_OPTIONS$)/.test(name)),
  ),
  ...more,
})

/** Runs a command with `sh`. */
export const runCommand = (command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', command], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', chunk => {
        output += chunk
      })
    child.once('error', reject)
    child.once('close', code => resolve({ code, output }))
  })

/** Ports of the pages. Each test has free ones in their place. */
const shownPorts = [4222, 4223, 4224, 6222, 6223, 6224, 8080, 8081, 8082, 8083, 8084, 8222, 8223, 8224]
  .concat([9080, 9081, 9082, 9083, 9084])
  .map(String)

/** Replaces a text by a shorter one, and keeps the columns after it where they are. */
const replaceAligned = (output: string, from: string, to: string): string =>
  output
    .split('\n')
    .map(line => {
      const at = line.indexOf(from)
      if (at < 0) return line
      const gap = line.slice(at).search(/ {2,}/)
      const end = gap < 0 ? line.length : at + gap
      const replaced = `${line.slice(0, at)}${line.slice(at, end).replaceAll(from, to)}`
      return gap < 0 ? replaced : replaced.padEnd(end) + line.slice(end)
    })
    .join('\n')

/** The processes that commands of pages started: they wrote their ids into files `*.pid`. */
const startedProcesses = (work: string): number[] =>
  readdirSync(work)
    .filter(name => name.endsWith('.pid'))
    .map(name => Number(readFileSync(join(work, name), 'utf8')))

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/**
 * An empty folder of an operator with confab and nats-server on the PATH, and the folder `nats` of the package.
 * Commands of pages start the processes, and the end of the test stops them.
 */
export const emptySystem = async (t: Test): Promise<RunbookSystem & { readonly work: string }> => {
  const work = tempFolder(t)
  const env = runbookEnvironment({ PATH: await runbookCommands(work) })
  cpSync(join(root, 'nats'), join(work, 'nats'), { recursive: true })
  t.teardown(async () => {
    const pids = startedProcesses(work).filter(isRunning)
    for (const pid of pids) process.kill(pid, 'SIGTERM')
    for (let left = 200; left > 0 && pids.some(isRunning); left--) await sleep(100)
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  })
  const free = new Map<string, string>()
  for (const port of shownPorts) free.set(port, String(await freePort()))
  const replace = (text: string): string =>
    text.replaceAll(/\b\d{4}\b/g, number => free.get(number) ?? number)
  const restore = (text: string): string => {
    let restored = replaceAligned(text, work, '/srv/confab')
    for (const [port, own] of free) restored = replaceAligned(restored, own, port)
    return restored
  }
  return {
    work,
    run: async command => {
      for (const [, name = '', value = ''] of command.matchAll(/(?:^export |(?<=^export .*) )(\w+)=(\S+)/g))
        env[name] = value
      const { code, output } = await runCommand(replace(command), work, env)
      return { code, output: restore(output) }
    },
    write: (name, content) => writeFileSync(join(work, name), replace(content)),
  }
}

/** The output as it is on every machine: numbers, ids, names of processes and widths of columns differ. */
export const comparable = (output: string): string =>
  output
    .replaceAll(hostname(), 'chat-1')
    .replaceAll(/(?<=sqlite +)\S+$/gm, 'WORKER')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\d(T[\d:.]+Z)?/g, 'TIME')
    .replaceAll(/\d[\d,.]*( ms| s| m)?( [KMG]?i?B\b)?(\/s)?/g, 'N')
    .replaceAll(/(N|–)(?= +sqlite)/g, 'RATE')
    .replaceAll(/-{3,}/g, '---')
    .replaceAll(/ +/g, ' ')
    .replaceAll(/ +$/gm, '')
    .trim()

/** Output for a page: without the name of this machine, and with lines that fit. */
const shownOutput = (output: string, indent: string): string =>
  output
    .replaceAll(hostname(), 'chat-1')
    .trimEnd()
    .split('\n')
    .map(line => `${indent}${line}`.trimEnd())
    .join('\n')

/** A block of commands, a file that the page shows, or a comment for the test. */
const parts = /^( *)```(console|yaml|sh|ini)\n(.*?)^ *```\n|<!-- (.*?) -->/gms

/**
 * Runs the commands of a runbook and compares their output with the page. Writes files that the page shows: blocks of
 * yaml, sh or ini whose first line is a comment with the name of the file alone.
 */
export const runRunbook = async (t: Test, name: string, system: RunbookSystem): Promise<void> => {
  const page = readRunbook(name)
  let recorded = ''
  let end = 0
  let commands = 0
  for (const match of page.matchAll(parts)) {
    const [whole, indent = '', kind, text = '', comment] = match
    recorded += page.slice(end, match.index)
    end = match.index + whole.length
    if (comment !== undefined) await system.direct?.(comment)
    const lines = text.split('\n').map(line => line.slice(indent.length))
    const [, file] = /^# ([\w.-]+)$/.exec(lines[0] ?? '') ?? []
    if (kind !== 'console') {
      if (file !== undefined) system.write?.(file, lines.slice(1).join('\n'))
      recorded += whole
      continue
    }
    recorded += `${indent}\`\`\`console\n`
    const steps = lines.join('\n').split(/^\$ /m).slice(1)
    for (const step of steps) {
      const [command = '', ...expected] = step.split('\n')
      const { code, output } = await system.run(command)
      commands++
      const isFailureShown = /^error /m.test(isRecording ? output : expected.join('\n'))
      t.equal(code === 0, !isFailureShown, `${command}\n${output}`)
      if (!isRecording) t.equal(comparable(output), comparable(expected.join('\n')), command)
      recorded += `${indent}$ ${command}\n${output.trim() === '' ? '' : `${shownOutput(output, indent)}\n`}`
    }
    recorded += `${indent}\`\`\`\n`
  }
  t.ok(commands > 3, `${commands} commands`)
  if (isRecording) writeFileSync(join(runbooks, name), recorded + page.slice(end))
}
