import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePorts } from '../../harness/free-ports.ts'
import { scriptOf } from '../../harness/service.ts'
import { tempFolder } from '../../harness/temp-folder.ts'

/** A server for one test, to be stopped and damaged. */
export interface OwnServer {
  readonly url: string
  /** Stored data remain. */
  start(): Promise<void>
  kill(): Promise<void>
  pause(): Promise<void>
  resume(): Promise<void>
}

/**
 * Starts a server that stops with the test. Call it after `service` has found Elasticsearch. Undefined, with a
 * comment, when this machine lacks a requirement.
 */
export const ownServer = async (t: Test, settings = ''): Promise<OwnServer | undefined> => {
  const [port, transportPort] = await freePorts(2)
  const env = {
    ...process.env,
    ES_RUN: join(tempFolder(t), 'run'),
    ES_PORT: String(port),
    ES_TRANSPORT_PORT: String(transportPort),
    ES_HEAP: '256m',
    ES_SETTINGS: settings,
    ES_KEEP_DATA: '1',
  }
  const run = (command: string): Promise<{ code: number | null; told: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn('bash', [scriptOf('elasticsearch'), command], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let told = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', chunk => {
          told += chunk
        })
      child.once('error', reject)
      child.once('exit', code => setImmediate(() => resolve({ code, told: told.trim() })))
    })
  const must = async (command: string) => {
    const { code, told } = await run(command)
    if (code !== 0) throw new Error(`elasticsearch.sh ${command} exited with ${code}: ${told}`)
  }
  const first = await run('start')
  if (first.code === 3) {
    t.comment(first.told)
    return undefined
  }
  if (first.code !== 0) throw new Error(first.told)
  t.teardown(async () => {
    await run('kill')
    await run('stop')
  })
  return {
    url: `http://127.0.0.1:${port}`,
    start: () => must('start'),
    kill: () => must('kill'),
    pause: () => must('pause'),
    resume: () => must('resume'),
  }
}
