import { setTimeout as wait } from 'node:timers/promises'
import { type Dialect, Kind } from './dialects/index.ts'
import type { OpenPlan, ReturnPlan, ReturnResult } from './jobs.ts'
import { type Opened, openSocket } from './sessions.ts'
import type { FrameListener } from './wire-socket.ts'

const quietMs = 30_000
/** Time for duplicates to arrive. */
const settleMs = 200
const messageNumber = /"m":"[0-9a-f-]{24}([0-9a-f]{12})"/g

/** Sockets that disconnect together and resume. */
export class Returning {
  readonly #open: OpenPlan
  readonly #dialect: Dialect
  #opened: Opened[]
  readonly #last: (string | undefined)[] = []

  constructor(open: OpenPlan, dialect: Dialect, opened: Opened[]) {
    this.#open = open
    this.#dialect = dialect
    this.#opened = opened
    for (const [socket, { wire }] of opened.entries())
      dialect.listen(wire, (bytes, start, end) => {
        if (dialect.kind(bytes, start, end) === Kind.delivery)
          this.#last[socket] = bytes.toString('utf8', start, end)
      })
  }

  /** Closes all connections; with `after` delivery, once each has a delivery to resume after. */
  async drop(after: 'delivery' | 'nothing'): Promise<void> {
    const endsAt = performance.now() + quietMs
    while (after === 'delivery' && this.#opened.some((_, socket) => this.#last[socket] === undefined)) {
      if (performance.now() > endsAt) throw new Error('not every socket had a delivery')
      await wait(5)
    }
    for (const { wire } of this.#opened) wire.close()
  }

  /** Reconnects all at once. Rejects when a socket received anything but its missed messages, each once, in order. */
  async back({ missed }: ReturnPlan): Promise<{ result: ReturnResult; opened: Opened[] }> {
    const { port, sockets } = this.#open
    const startedAt = performance.now()
    let lastAt = startedAt
    let [complete, retries] = [0, 0]
    let fault: string | undefined
    const counts = new Uint32Array(sockets.length)
    const listenAt = (socket: number): FrameListener => {
      let before = -1
      return (bytes, start, end) => {
        for (const [, digits] of bytes.toString('latin1', start, end).matchAll(messageNumber)) {
          const number = Number.parseInt(digits!, 16)
          if (number <= before) fault ??= `socket ${socket}: message ${number} came after ${before}`
          before = number
          if (++counts[socket]! !== missed) continue
          complete++
          lastAt = performance.now()
        }
      }
    }
    const comeBack = (socket: number): Promise<Opened> => {
      const last = this.#last[socket]
      const resume = last === undefined ? {} : this.#dialect.placeAfter(last, this.#opened[socket]!.kept)
      const plan = { ...sockets[socket]!, resume }
      return openSocket(port, plan, this.#dialect, true, listenAt(socket), () => {
        retries++
      })
    }
    this.#opened = await Promise.all(sockets.map((_, socket) => comeBack(socket)))
    while (complete < sockets.length && fault === undefined && performance.now() - lastAt < quietMs)
      await wait(2)
    const seconds = (lastAt - startedAt) / 1000
    await wait(settleMs)
    const wrong = counts.findIndex(count => count !== missed)
    if (wrong >= 0) fault ??= `socket ${wrong} got ${counts[wrong]} of ${missed} missed messages`
    if (fault !== undefined) throw new Error(fault)
    return { result: { seconds, retries }, opened: this.#opened }
  }
}
