import { setTimeout as sleep } from 'node:timers/promises'
import type { ConfabProcess } from '../harness/confab-process.ts'
import type { Acked } from '../harness/invariants.ts'
import { Outsider } from '../harness/outsider.ts'
import { secretMark } from './answer-check.ts'

/** The conversation of the neighbours. */
export const calm = 'calm'

/** Times of requests, ms, sorted. */
export interface Latencies {
  readonly count: number
  readonly median: number
  readonly p95: number
}

/** Two clients that keep to the protocol, beside those of the fuzzer. */
export interface Neighbours {
  readonly clients: readonly Outsider[]
  readonly acked: readonly Acked[]
  /** Returns the times of acks and of `/healthz` since the last call. */
  latencies(): Latencies
  /** Stops sending; resolves when all messages are acknowledged and received. */
  end(): Promise<void>
}

const pauseMs = 50

export const startNeighbours = async (confab: ConfabProcess): Promise<Neighbours> => {
  const clients: Outsider[] = []
  for (const user of ['alice', 'bob'])
    clients.push(new Outsider(user, [confab.url], await confab.token(user)))
  const [alice, bob] = clients as [Outsider, Outsider]
  for (const client of clients) client.expect(calm)
  await alice.command('create', { c: calm, kind: 'group', members: ['bob'], key: 'create' })
  const acked: Acked[] = []
  let times: number[] = []
  let isEnding = false
  const timed = async <T>(job: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await job()
    times.push(performance.now() - started)
    return result
  }
  const sending = (async () => {
    for (let i = 0; !isEnding; i++) {
      const message = { c: calm, m: `m${i}`, text: `${secretMark} ${i}` }
      const { seq } = await timed(() => alice.command('send', message))
      acked.push({ ...message, from: 'alice', seq: Number(seq) })
      await timed(async () => await (await fetch(`${confab.url}/healthz`)).text())
      await sleep(pauseMs)
    }
  })()
  return {
    clients,
    acked,
    latencies: () => {
      const sorted = times.sort((a, b) => a - b)
      times = []
      const at = (share: number) => sorted[Math.floor(share * sorted.length)] ?? 0
      return { count: sorted.length, median: at(0.5), p95: at(0.95) }
    },
    end: async () => {
      isEnding = true
      await sending
      while (bob.head(calm) < (acked.at(-1)?.seq ?? 0)) await sleep(25)
    },
  }
}
