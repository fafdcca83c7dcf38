/**
 * A process that appends to conversations on request, so that its CPU time is not counted with that of the followers.
 * Its argument is the URL of the server.
 */
import { signalSubjectOf } from '../../src/events/index.ts'
import { connectNats } from '../../src/infra/nats/index.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { asRaw, asRawMarks, messageEvent } from './events.ts'

/**
 * New conversations `<prefix>-0` … and messages in each. With `marks`, as many marks of one user a conversation,
 * `<prefix>-u0` …, and a typing signal a conversation for every second message. The process answers with `{}` when all
 * of the events are stored.
 */
export interface AppendJob {
  readonly prefix: string
  readonly conversations: number
  readonly each: number
  readonly marks?: boolean
}

const text =
  'A message as long as they are in a busy channel: some are shorter, few are longer; about 100 bytes.'

const { connection } = await connectNats({ servers: process.argv[2] ?? '', name: 'appender' })

process.on('message', ({ prefix, conversations, each, marks = false }: AppendJob) => {
  const ids = Array.from({ length: conversations }, (_, n) => `${prefix}-${n}`)
  const messages = ids.map(id =>
    asRaw(
      id,
      Array.from({ length: each }, (_, seq) => messageEvent(id, seq + 1, seq + 1, 'alice', text)),
    ),
  )
  const subjects = marks
    ? messages.flatMap((subject, n) => [subject, asRawMarks(`${prefix}-u${n}`, ids[n]!, each)])
    : messages
  const typing = new Map(messages.map(({ name }, n) => [name, ids[n]!]))
  const signal = ({ name }: { name: string }, index: number): void => {
    const c = typing.get(name)
    if (c === undefined || index % 2 === 1) return
    const body = { t: 'signal', type: 'typing', c, user: 'alice', on: true }
    connection.publish(signalSubjectOf(c), JSON.stringify(body))
  }
  void rawAppend(connection, subjects, marks ? signal : undefined).then(() => process.send?.({}))
})
