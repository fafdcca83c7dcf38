/**
 * A process that opens the NATS of a data folder and prints each change of its connection. It ends in order at SIGTERM.
 * Arguments: the data folder.
 */
import { openNats } from '../../src/app/open-nats.ts'

const print = (line: string): void => void process.stdout.write(`${line}\n`)
const system = await openNats({ data: process.argv[2] ?? '', natsServers: undefined }, 'attached', () => {})
system.nats.onChange(isConnected => print(isConnected ? 'connected' : 'disconnected'))
process.on('SIGTERM', () => void system.close().then(() => process.exit(0)))
setInterval(() => {}, 1_000)
print('open')
