import { createServer, connect as dial, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** A TCP proxy in front of a server that can cut its connections. */
export interface CuttingProxy {
  readonly port: number
  /** Cuts every connection; data in transit may be lost. */
  cut(): void
  /**
   * Cuts every connection repeatedly, after random times of at most `maxMs`, until the returned function is called.
   */
  cutAtRandom(maxMs: number): () => void
  /** While true, refuses new connections and cuts existing ones. */
  block(blocked: boolean): void
  /** While true, forwards nothing in either direction and closes nothing, as a network that drops all packets. */
  hold(held: boolean): void
  /** Whether new connections are held, too. `hold` sets it. */
  holdNew(held: boolean): void
  close(): Promise<void>
}

/** Passes each chunk on after a time. */
const delay = (ms: number): Transform =>
  new Transform({
    transform(chunk, _, done) {
      setTimeout(() => this.push(chunk), ms)
      done()
    },
    flush(done) {
      setTimeout(done, ms)
    },
  })

export interface ProxyOptions {
  /** Delay of each direction, ms: half a round trip. Default: none. */
  readonly delayMs?: number
}

export const startProxy = async (
  targetPort: number,
  { delayMs = 0 }: ProxyOptions = {},
): Promise<CuttingProxy> => {
  const sockets = new Set<Socket>()
  let isBlocked = false
  let isHeld = false
  const server = createServer(near => {
    if (isBlocked) {
      near.destroy()
      return
    }
    const far = dial(targetPort, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.setNoDelay(true)
      if (delayMs > 0) from.pipe(delay(delayMs)).pipe(to)
      else from.pipe(to)
      if (isHeld) from.pause()
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: address.port,
    cut,
    cutAtRandom: maxMs => {
      let timer: NodeJS.Timeout
      const next = (): void => {
        timer = setTimeout(() => {
          cut()
          next()
        }, Math.random() * maxMs)
      }
      next()
      return () => clearTimeout(timer)
    },
    block: blocked => {
      isBlocked = blocked
      if (blocked) cut()
    },
    hold: held => {
      isHeld = held
      for (const socket of sockets) {
        if (held) socket.pause()
        else socket.resume()
      }
    },
    holdNew: held => {
      isHeld = held
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        cut()
      }),
  }
}
