import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import { freePort } from '../../harness/free-ports.ts'
import { scriptOf } from '../../harness/service.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

/** Nodes for one test, to be killed and suspended. They stop with the test. */
export interface OwnNodes {
  readonly port: number
  start(node: number): Promise<void>
  /** Sends a signal; after SIGKILL, waits until the process has exited. */
  signal(node: number, signal: NodeJS.Signals): Promise<void>
  run(...args: string[]): Promise<string>
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const lacksSomething = 3

/**
 * Starts node 1 on ports of its own. `env`: variables of cassandra.sh. Undefined if that is impossible: the test was
 * skipped, or failed where the service is required.
 */
export const ownNodes = async (
  t: Test,
  env: Readonly<Record<string, string>> = {},
): Promise<OwnNodes | undefined> => {
  const [port, storagePort] = [await freePort(), await freePort()]
  const environment = {
    ...process.env,
    CASSANDRA_DATA: tempFolder(t),
    CASSANDRA_CQL_PORT: String(port),
    CASSANDRA_STORAGE_PORT: String(storagePort),
    CASSANDRA_HEAP: '384M',
    ...env,
  }
  const call = async (...args: string[]): Promise<{ code: number | null; output: string }> => {
    const child = spawn('bash', [scriptOf('cassandra'), ...args], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
    const [code] = (await once(child, 'exit')) as [number | null]
    return { code, output: output.trim() }
  }
  const run = async (...args: string[]): Promise<string> => {
    const { code, output } = await call(...args)
    if (code !== 0) throw new Error(`cassandra.sh ${args.join(' ')} exited with ${code}:\n${output}`)
    return output
  }
  const stopped = new Set<number>()
  t.teardown(async () => {
    for (const pid of stopped) if (isAlive(pid)) process.kill(pid, 'SIGCONT')
    await run('stop')
  })
  const { code, output } = await call('start', '1')
  if (code === lacksSomething) {
    const reason = output.split('\n').at(-1) ?? ''
    if ((process.env.CONFAB_TEST_REQUIRE ?? '').includes('cassandra'))
      t.fail(`cassandra is required: ${reason}`)
    else t.pass('cassandra', { skip: reason })
    return undefined
  }
  if (code !== 0) throw new Error(output)
  return {
    port,
    run,
    start: async node => {
      await run('start', String(node))
    },
    signal: async (node, signal) => {
      const pid = Number(await run('pid', String(node)))
      process.kill(pid, signal)
      if (signal === 'SIGSTOP') stopped.add(pid)
      if (signal === 'SIGKILL') while (isAlive(pid)) await new Promise(resolve => setTimeout(resolve, 20))
    },
  }
}
