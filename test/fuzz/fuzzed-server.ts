import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { signDevToken } from '../../src/infra/tokens/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { startNats, type TestNats } from '../harness/nats.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { secretMark } from './answer-check.ts'
import type { Fields } from './arbitrary-requests.ts'
import type { Target } from './lane.ts'
import { commonConversations, keeper, secretGroup, secretMessage, strangers, victims } from './vocabulary.ts'

interface Teardown {
  teardown(fn: () => unknown): void
}

const secret = 'kA3x9TqLw0ZrVb7Nf2HsYc5Dm8GjEu1P'

/** The memory of a process, bytes, after its garbage has been collected. */
export interface Memory {
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
}

/** A server that the fuzzer attacks, with all its listeners. */
export interface FuzzedServer {
  readonly confab: ConfabProcess
  readonly nats: TestNats
  readonly target: Target
  /** Lines of its log that report an error, and output that is no line of a log. */
  errors(): readonly string[]
  memory(): Promise<Memory>
  /** Returns the longest turn of the event loop since the last call, in units of the reference work. */
  longestTurn(): Promise<number>
  /** Returns the number of open files, sockets included. */
  openFiles(): number
  /** Sends a request over HTTP; returns the answer. Throws when it is refused. */
  request(user: string, t: string, fields: Fields): Promise<Fields>
  /**
   * Creates the common conversations, and keeps the strangers in them and the settings open until the result is called:
   * the strangers leave, remove and ban each other all the time.
   */
  keepMembers(): () => Promise<void>
  /** Starts a server beside it that builds its views from the log. */
  rebuilt(): Promise<ConfabProcess>
}

const errorLevel = 50
/** Time after which the strangers have new tokens, ms. */
const tokenMs = 250

/** Whether a line of output reports a fault: a line of the log, or text of Node.js itself. */
const isFault = (line: string): boolean => {
  if (!line.startsWith('{')) return /error|exception|warning|unhandled|assert/i.test(line)
  return (JSON.parse(line) as { level: number }).level >= errorLevel
}

/** Starts a server with a group of the victims. Limits are the defaults, but for those that would end the run early. */
export const startFuzzedServer = async (t: Teardown): Promise<FuzzedServer> => {
  const nats = await startNats(t)
  const [grpcPort, probePort] = [await freePort(), await freePort()]
  const quotas = ['EVENTS', 'EVENT_BYTES', 'NEW_CONVERSATIONS', 'UPLOADS', 'OPEN_UPLOADS', 'UPLOAD_BYTES']
  const start = (env: Record<string, string>, args: readonly string[] = []) =>
    spawnConfab({ data: tempFolder(t), nats: nats.url, secret, env, args })
  const confab = await untilReady(
    await start(
      {
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${import.meta.resolve('../harness/turn-probe.ts')}`,
        TURN_PROBE_PORT: String(probePort),
        ...Object.fromEntries(quotas.map(name => [`CONFAB_EDGE_QUOTAS_${name}`, 'off'])),
      },
      ['--grpc-port', String(grpcPort)],
    ),
  )
  t.teardown(() => confab.stop())

  const tokens = new Map<string, string>()
  const sign = async (users: readonly string[]): Promise<void> => {
    for (const user of users) tokens.set(user, await signDevToken(secret, user))
  }
  await sign([...strangers, ...victims, keeper])
  // The strangers end their own sessions, and so the tokens of these: without new ones, soon no request is accepted.
  const signing = setInterval(() => void sign(strangers), tokenMs)
  t.teardown(() => clearInterval(signing))
  const probed = async <T>(path: string): Promise<T> =>
    (await (await fetch(`http://127.0.0.1:${probePort}${path}`)).json()) as T
  const { reference } = await probed<{ reference: number }>('/reference')

  const request = async (user: string, type: string, fields: Fields): Promise<Fields> => {
    const answer = await fetch(`${confab.url}/v1/commands`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.get(user)}` },
      body: JSON.stringify({ id: '1', t: type, ...fields }),
    })
    const body = (await answer.json()) as Fields
    if (body.ok !== true) throw new Error(`${type}: ${JSON.stringify(body)}`)
    return body
  }
  const [owner, member] = victims as [string, string]
  await request(owner, 'create', {
    c: secretGroup,
    kind: 'group',
    members: [member],
    title: secretMark,
    data: { secretMark },
  })
  await request(owner, 'send', { c: secretGroup, m: secretMessage, text: `tea ${secretMark} milk` })
  const { c } = await request(owner, 'direct', { user: member })
  await request(member, 'send', { c: c as string, m: 'm0', text: `and ${secretMark}`, data: { secretMark } })

  return {
    confab,
    nats,
    target: {
      port: Number(new URL(confab.url).port),
      grpcPort,
      adminPort: Number(new URL(confab.adminUrl).port),
      token: user => tokens.get(user)!,
      adminToken: await signDevToken(secret, 'operator', { role: 'admin' }),
    },
    errors: () => confab.output().split('\n').filter(isFault),
    memory: () => probed<Memory>('/memory'),
    longestTurn: async () => (await probed<{ longest: number }>('/turns')).longest / reference,
    openFiles: () => readdirSync(`/proc/${confab.pid}/fd`).length,
    request,
    keepMembers: () => {
      let isOver = false
      const tried = (type: string, fields: Fields) => request(keeper, type, fields).catch(() => {})
      const keeping = (async () => {
        for (const c of commonConversations)
          await tried('create', { c, kind: c.endsWith('0') ? 'channel' : 'group', members: strangers })
        while (!isOver)
          for (const c of commonConversations) {
            await tried('settings', { c, posting: 'everybody', slowModeSeconds: 0, archived: false })
            for (const user of strangers) {
              await tried('unban', { c, user })
              await tried('invite', { c, user })
              await sleep(20)
              if (isOver) break
            }
          }
      })()
      return async () => {
        isOver = true
        await keeping
      }
    },
    rebuilt: async () => {
      const other = await untilReady(await start({}))
      t.teardown(() => other.stop())
      return other
    },
  }
}
