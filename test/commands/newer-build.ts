import { createCommandBus, createLogLookup, createStates } from '../../src/commands/index.ts'
import {
  type AggregateRef,
  ConfabError,
  type ConversationRequest,
  type Upcasters,
  upcasters,
} from '../../src/events/index.ts'
import {
  connectNats,
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { at } from './given.ts'

/** A request to the newer build: execute a request, or append an event of a type that only the newer build knows. */
export type Task =
  | { readonly from: string; readonly request: ConversationRequest }
  | { readonly append: AggregateRef; readonly type: string }

export interface TaskResult {
  readonly answer?: object
  readonly code?: string
}

/**
 * A process of a newer build, started with `fork`: it writes `conversation.renamed` as version 2. Sends `ready` when it
 * runs, then executes each task that it receives and sends a TaskResult.
 */
const run = async (url: string): Promise<void> => {
  ;(upcasters as { -readonly [K in keyof Upcasters]: Upcasters[K] })['conversation.renamed'] = [body => body]
  const nats = await connectNats({ servers: url, name: 'newer build' })
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout)
  const states = createStates({ log, snapshots: new JetStreamSnapshots(nats), feed })
  const bus = createCommandBus({ log, lookup: createLogLookup(log), states })
  await feed.start()
  const execute = async (task: Task): Promise<TaskResult> => {
    if ('request' in task) return { answer: await bus.execute(task.request, { from: task.from, at }) }
    const last = await log.last(task.append)
    const seq = (last?.envelope.seq ?? 0) + 1
    const envelope = { type: task.type, version: 1, seq, n: last?.envelope.n ?? 0, actor: 'alice', epoch: 1 }
    const event = { envelope: { ...envelope, commandId: `new-${seq}` }, data: Buffer.from('{"new":true}') }
    await log.append(task.append, last?.streamSeq ?? 0, [event])
    return { answer: { seq } }
  }
  process.on('message', (task: Task) => {
    void execute(task)
      .catch(error => ({ code: ConfabError.is(error) ? error.code : String(error) }))
      .then(result => process.send?.(result))
  })
  process.on('disconnect', () => process.exit())
  process.send?.('ready')
}

if (process.send !== undefined && process.argv[2] !== undefined) await run(process.argv[2])
