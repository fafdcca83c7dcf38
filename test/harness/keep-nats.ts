/** A process that runs a nats-server on the given folder, prints its address, and stays until it is killed. */
import { startNatsServer } from '../../src/infra/nats/index.ts'

const server = await startNatsServer({ dataDir: process.argv[2] ?? '' })
process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid, isOurs: server.isOurs })}\n`)
process.on('SIGTERM', () => void server.stop().then(() => process.exit(0)))
setInterval(() => {}, 1_000)
