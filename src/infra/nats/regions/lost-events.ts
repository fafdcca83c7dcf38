import { type JetStreamManager, StorageType } from '@nats-io/jetstream'
import { headers, type MsgHdrs } from '@nats-io/transport-node'
import { Header, markerType } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ApiError, apiCodeOf } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck } from '../client/publish-ack.ts'
import { safeguards } from '../log/stream-definitions.ts'
import { infoOf } from '../log/streams.ts'

/** The stream of a region that holds events which a former home had, and its new home lacks. */
export const lostEventsStream = 'LOST_EVENTS'

/** Returns the subject of the lost events of a stream. `epoch`: the first epoch without them. */
const lostSubject = (stream: string, epoch: number | '*'): string => `lost.${stream}.${epoch}`

const lostHeader = { seq: 'Confab-Lost-Seq', subject: 'Confab-Lost-Subject' } as const
/** Headers of an append, which would be checked again. */
const checkedHeaders = /^Nats-/i

const page = 500
const timeout = 5_000

const createStream = async (manager: JetStreamManager): Promise<void> => {
  if ((await infoOf(manager, lostEventsStream)) !== undefined) return
  await manager.streams.add({
    ...safeguards,
    name: lostEventsStream,
    description: 'Events that a former home had, and its new home lacks',
    subjects: [lostSubject('*', '*')],
    storage: StorageType.File,
    discard: 'new',
    max_msg_size: 1_048_576,
    allow_direct: true,
  } as never)
}

/** Returns the sequence of the lost event that was saved last; `cut` when none was. */
const savedUpTo = async (manager: JetStreamManager, subject: string, cut: number): Promise<number> => {
  try {
    const last = await manager.streams.getMessage(lostEventsStream, { last_by_subj: subject })
    return Math.max(cut, Number(last?.header.get(lostHeader.seq) ?? cut))
  } catch (error) {
    if (apiCodeOf(error) === ApiError.noMessageFound) return cut
    throw error
  }
}

export interface LostRange {
  readonly stream: string
  /** The first epoch without the events. */
  readonly epoch: number
  /** The last sequence that the new home has, too. */
  readonly cut: number
  /** The last sequence of the former home. */
  readonly last: number
}

interface Place {
  readonly nats: Nats
  readonly manager: JetStreamManager
}

/**
 * Copies the events of a former home after the cut to `LOST_EVENTS` of its new home. Continues after those that an
 * earlier run has copied. Returns their number, markers not counted. Throws NatsError.
 */
export const saveLostEvents = async (former: Place, home: Place, range: LostRange): Promise<number> => {
  const { stream, epoch, cut, last } = range
  if (last <= cut) return 0
  await createStream(home.manager)
  const subject = lostSubject(stream, epoch)
  let next = (await savedUpTo(home.manager, subject, cut)) + 1
  while (next <= last) {
    const from = next
    for await (const message of await former.manager.direct.getBatch(stream, { seq: next, batch: page })) {
      if (message.seq < next || message.seq > last) continue
      next = message.seq + 1
      if (message.header.get(Header.type) === markerType) continue
      await store(home.nats, subject, message.data, copied(message.header, message.subject, message.seq))
    }
    // The rest was deleted.
    if (next === from) break
  }
  return await countLost(home.manager, subject)
}

const copied = (from: MsgHdrs, subject: string, seq: number): MsgHdrs => {
  const to = headers()
  for (const key of from.keys()) if (!checkedHeaders.test(key)) to.set(key, from.get(key))
  to.set(lostHeader.seq, String(seq))
  to.set(lostHeader.subject, subject)
  return to
}

const store = async (nats: Nats, subject: string, data: Uint8Array, block: MsgHdrs): Promise<void> => {
  const ack = readAck(await nats.connection.request(subject, data, { timeout, headers: block }))
  if (isRefusal(ack))
    throw new NatsError(NatsProblem.failed, `${lostEventsStream} cannot be written: ${ack.description}`)
}

const countLost = async (manager: JetStreamManager, subject: string): Promise<number> => {
  const { state } = await manager.streams.info(lostEventsStream, { subjects_filter: subject })
  return state.subjects?.[subject] ?? 0
}

/** An event that a former home had, and its new home lacks. */
export interface LostEvent {
  readonly stream: string
  readonly epoch: number
  /** Sequence in the former home. */
  readonly streamSeq: number
  readonly subject: string
  readonly type: string
  readonly commandId: string
  readonly data: Uint8Array
  /** Sequence in `LOST_EVENTS`. */
  readonly savedSeq: number
}

/** Yields the lost events that a region has, oldest first. Throws NatsError. */
export async function* readLostEvents(
  { manager }: Pick<Place, 'manager'>,
  { stream = '*', epoch }: { readonly stream?: string | undefined; readonly epoch?: number | undefined },
): AsyncIterable<LostEvent> {
  const info = await infoOf(manager, lostEventsStream)
  if (info === undefined) return
  for (let next = info.state.first_seq; next <= info.state.last_seq; ) {
    const from = next
    const found = await manager.direct.getBatch(lostEventsStream, {
      seq: next,
      batch: page,
      next_by_subj: lostSubject(stream, epoch ?? '*'),
    } as never)
    for await (const message of found) {
      if (message.seq < next) continue
      next = message.seq + 1
      const [, name = '', at = ''] = message.subject.split('.')
      yield {
        stream: name,
        epoch: Number(at),
        streamSeq: Number(message.header.get(lostHeader.seq)),
        subject: message.header.get(lostHeader.subject),
        type: message.header.get(Header.type),
        commandId: message.header.get(Header.commandId),
        data: message.data,
        savedSeq: message.seq,
      }
    }
    if (next === from) return
  }
}

/** Removes a lost event from the list. */
export const removeLostEvent = async (
  { manager }: Pick<Place, 'manager'>,
  { savedSeq }: LostEvent,
): Promise<void> => {
  await manager.streams.deleteMessage(lostEventsStream, savedSeq, false)
}
