/**
 * A process that appends to conversations on request, so its CPU is not counted with that of the followers. Started
 * with the server's URL.
 */
import { connectNats } from '../../src/infra/nats/index.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { asRaw, messageEvent } from './events.ts'

/** Creates conversations `<prefix>-0` … with messages in each. Answered with `{}` when all are stored. */
export interface AppendJob {
  readonly prefix: string
  readonly conversations: number
  readonly each: number
}

const text =
  'A message as long as they are in a busy channel: some are shorter, few are longer; about 100 bytes.'

const { connection } = await connectNats({ servers: process.argv[2] ?? '', name: 'appender' })

process.on('message', ({ prefix, conversations, each }: AppendJob) => {
  const subjects = Array.from({ length: conversations }, (_, n) => {
    const id = `${prefix}-${n}`
    return asRaw(
      id,
      Array.from({ length: each }, (_, seq) => messageEvent(id, seq + 1, seq + 1, 'alice', text)),
    )
  })
  void rawAppend(connection, subjects).then(() => process.send?.({}))
})
