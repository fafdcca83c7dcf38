import { setTimeout as wait } from 'node:timers/promises'
import { type Dialect, Kind } from './dialects/index.ts'
import { clockMicros, readDecimal, readHex, sentMicros } from './frames.ts'
import type { Due, Report } from './jobs.ts'
import { spread } from './spread.ts'
import type { WireSocket } from './wire-socket.ts'

const [cField, mField, seqField] = ['"c":"', '"m":"', '"seq":'].map(name => Buffer.from(name)) as [
  Buffer,
  Buffer,
  Buffer,
]
const cLength = 12
const quietMs = 5_000

interface Seen {
  /** 0: none yet, or the protocol has none. */
  seq: number
  readonly numbers: Set<number>
}

/**
 * Checks each delivery at its sockets: nothing lost, nothing duplicated, in order; and measures the latency from the
 * sender, another process of the same machine.
 */
export class Watch {
  readonly #seen = new Map<string, Seen>()
  readonly #deliveryMs: number[] = []
  #fault: string | undefined

  constructor(sockets: readonly WireSocket[], dialect: Dialect) {
    for (const [socket, wire] of sockets.entries())
      dialect.listen(wire, (bytes, start, end) => {
        if (dialect.kind(bytes, start, end) === Kind.delivery) this.#look(socket, bytes, start, end)
      })
  }

  #look(socket: number, bytes: Buffer, start: number, end: number): void {
    const sentAt = sentMicros(bytes, start, end)
    // Membership events have no text.
    if (Number.isNaN(sentAt)) return
    this.#deliveryMs.push((clockMicros() - sentAt) / 1000)
    const c = bytes.indexOf(cField, start) + cField.length
    const key = `${socket} ${bytes.toString('latin1', c, c + cLength)}`
    let seen = this.#seen.get(key)
    if (seen === undefined) {
      seen = { seq: 0, numbers: new Set() }
      this.#seen.set(key, seen)
    }
    const m = bytes.indexOf(mField, start) + mField.length
    const number = readHex(bytes, m + 24, m + 36)
    const tell = () => bytes.toString('utf8', start, end)
    if (seen.numbers.has(number)) this.#fault ??= `delivered twice: ${tell()}`
    seen.numbers.add(number)
    const at = bytes.indexOf(seqField, start)
    if (at < 0 || at > end) return
    const seq = readDecimal(bytes, at + seqField.length)
    if (seen.seq > 0 && seq !== seen.seq + 1) this.#fault ??= `out of order after ${seen.seq}: ${tell()}`
    seen.seq = seq
  }

  /** Waits at most 5 s for the expected deliveries. Rejects when they were not exactly these, in order. */
  async report(due: readonly Due[]): Promise<Report> {
    const got = ({ socket, c }: Due) => this.#seen.get(`${socket} ${c}`)?.numbers.size ?? 0
    const endsAt = performance.now() + quietMs
    while (due.some(one => got(one) < one.messages) && performance.now() < endsAt) await wait(5)
    for (const one of due)
      if (got(one) !== one.messages)
        this.#fault ??= `socket ${one.socket} got ${got(one)} of ${one.messages} messages in ${one.c}`
    if (this.#fault !== undefined) throw new Error(this.#fault)
    return { deliveryMs: spread(this.#deliveryMs), delivered: this.#deliveryMs.length }
  }
}
