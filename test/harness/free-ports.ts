import { createServer } from 'node:net'

/** Ports for each process. */
const blockSize = 40
const blocks = 300

/**
 * The first of the ports that this process may use. They are below the range from which the system takes the ports of
 * connections and of listeners without a number: between the check of a port and its use, nothing else takes it.
 */
export const firstPort = 20_000 + (process.pid % blocks) * blockSize

let next = 0

const isFree = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })

/** Returns a free loopback port. */
export const freePort = async (): Promise<number> => {
  for (let attempts = 0; attempts < 10 * blockSize; attempts++) {
    const port = firstPort + (next++ % blockSize)
    if (await isFree(port)) return port
  }
  throw new Error(`no port from ${firstPort} to ${firstPort + blockSize - 1} is free`)
}

/** Returns as many different free loopback ports, at most 40. */
export const freePorts = async (count: number): Promise<number[]> => {
  const ports = new Set<number>()
  for (let attempts = 0; ports.size < count && attempts < 10 * blockSize; attempts++)
    ports.add(await freePort())
  if (ports.size < count) throw new Error(`fewer than ${count} ports from ${firstPort} on are free`)
  return [...ports]
}
