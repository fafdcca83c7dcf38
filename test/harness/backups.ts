import { jetstream, type StreamInfo } from '@nats-io/jetstream'
import type { Test } from 'tap'
import type { BackupFiles } from '../../src/base/backup-files.ts'
import {
  type BackupKey,
  backedUpStreams,
  findBackup,
  type Manifest,
  planRestore,
  type RestoredStream,
  restoreBackup,
  type TransferProgress,
  takeBackup,
} from '../../src/infra/nats/backup/index.ts'
import { digestStream } from '../../src/infra/nats/backup/stream-digest.ts'
import {
  discoverLog,
  JetStreamEventLog,
  type Nats,
  openNatsPlans,
  openRevocationBucket,
} from '../../src/infra/nats/index.ts'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { conversation, newEvent, newEvents, user } from '../contracts/new-events.ts'
import { startNats, type TestNats } from './nats.ts'

interface BackupTestOptions {
  readonly key?: BackupKey | undefined
  readonly streams?: readonly string[]
  readonly signal?: AbortSignal
  readonly onNotice?: (notice: string) => void
  readonly onProgress?: (progress: TransferProgress) => void
}

/** Backs up as the command does. */
export const backUp = async (
  nats: Nats,
  files: BackupFiles,
  { key, streams, signal, onNotice, onProgress }: BackupTestOptions = {},
): Promise<{ manifest: Manifest; reused: readonly string[] }> =>
  takeBackup(nats, files, {
    streams: streams ?? (await backedUpStreams(nats.connection)),
    key,
    extent: 'samples',
    confab: '0.0.0',
    signal: signal ?? new AbortController().signal,
    onProgress: onProgress ?? (() => {}),
    onNotice: onNotice ?? (() => {}),
  })

/** Restores the newest backup, or some of its streams, as the command does. */
export const restoreNewest = async (
  nats: Nats,
  files: BackupFiles,
  {
    key,
    streams,
    as,
    signal = new AbortController().signal,
    onProgress = () => {},
    onNotice = () => {},
  }: BackupTestOptions & { readonly as?: string } = {},
): Promise<RestoredStream[]> => {
  const manifest = await findBackup(files, { key })
  if (manifest === undefined) throw new Error('no finished backup')
  const chosen = manifest.streams.filter(({ stream }) => streams === undefined || streams.includes(stream))
  const targets = await planRestore(nats, manifest, chosen, as)
  return restoreBackup(nats, files, manifest, targets, { key, signal, onProgress, onNotice })
}

const never = new AbortController().signal

/** The state and the settings of a stream. */
export const infoOf = async (nats: Nats, stream: string): Promise<StreamInfo> =>
  (await openManager(nats.connection)).streams.info(stream)

/** A hash of all messages of a stream. */
export const digestOf = async (nats: Nats, stream: string): Promise<string> => {
  const { state } = await infoOf(nats, stream)
  return digestStream(nats, stream, { first: 1, last: state.last_seq }, 'all', never)
}

/** Appends events to conversations of these names, which may be new. */
export const append = async (nats: Nats, names: readonly string[], count: number): Promise<void> => {
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  for (const name of names) {
    const { position } = await log.append(conversation(name), 0, [newEvent(1)])
    let last = position.streamSeq
    for (let seq = 2; seq <= count; seq += 50)
      last = (await log.append(conversation(name), last, newEvents(seq, Math.min(50, count + 1 - seq))))
        .position.streamSeq
  }
  log.close()
}

/** A server with events, a deleted event, a dead letter, a plan and revocations. */
export const startFilled = async (t: Test): Promise<{ server: TestNats; nats: Nats }> => {
  const server = await startNats(t)
  const nats = await server.connect()
  await append(nats, ['one', 'two'], 120)
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  await log.append(user('alice'), 0, [newEvent(1), newEvent(2)])
  log.close()
  await (await openManager(nats.connection)).streams.deleteMessage('CONV_0', 7)
  const plans = await openNatsPlans(nats)
  await plans.update('inbox', () => ({ live: 1, generations: [] }) as never)
  const revocations = await openRevocationBucket(nats, { keepMs: 3_600_000 })
  await revocations.put({ of: 'user', user: 'bob', before: Date.now() })
  revocations.close()
  await jetstream(nats.connection).publish('dead.inbox', '{}')
  return { server, nats }
}

/** A server without streams. */
export const startEmpty = async (t: Test): Promise<Nats> => (await startNats(t, { streams: false })).connect()
