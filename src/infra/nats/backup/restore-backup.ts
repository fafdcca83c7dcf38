import { createReadStream } from 'node:fs'
import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { BackupError, BackupProblem } from '../../../base/backup-error.ts'
import { type BackupFiles, measureFile } from '../../../base/backup-files.ts'
import { sleep } from '../../../base/sleep.ts'
import { Family } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ApiError, apiCodeOf, askJetStream, streamsTaking } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import type { BackupKey } from './backup-key.ts'
import type { BackedUpStream, Manifest } from './manifest.ts'
import { digestStream } from './stream-digest.ts'
import { restoreStream } from './stream-snapshot.ts'
import type { TransferProgress } from './take-backup.ts'

/** The metadata of a restored stream that names its backup. */
const restoredFrom = 'confab.restored'
/** The metadata of a restored stream that keeps the subject of a copy. */
const keptAsCopy = 'confab.compared'

/** Attempts and pause, ms, to create a stream without the messages of a deleted one. */
const createAttempts = 10
const createPauseMs = 200
/** The subjects of the cache of aggregates. */
const snapshotSubjects = 'snap.>'

/** The subject of a stream that is not compared yet, or whose subjects another stream takes. */
const copySubject = (name: string): string => `restored.${name}`

/** The plan of a restore for one stream. */
export interface RestoreTarget {
  readonly backedUp: BackedUpStream
  /** The name of the restored stream. */
  readonly name: string
  /** `restored`: an earlier restore of the same backup has finished this stream. */
  readonly outcome: 'create' | 'replace empty' | 'replace unfinished' | 'restored'
  /** The stream that takes the subjects now, so that the restored stream keeps `restored.<name>`. */
  readonly takenBy?: string | undefined
  /** The settings of an empty stream that is replaced. */
  readonly before?: StreamConfig
}

export interface RestoredStream {
  readonly stream: string
  readonly first: number
  readonly last: number
  readonly messages: number
  readonly bytes: number
  readonly sha256: string | undefined
}

export interface RestoreOptions {
  readonly key: BackupKey | undefined
  readonly signal: AbortSignal
  readonly onProgress: (progress: TransferProgress) => void
  /** Receives facts that the operator should know. */
  readonly onNotice: (notice: string) => void
}

const infoOf = (nats: Nats, stream: string): Promise<StreamInfo | undefined> =>
  askJetStream(nats.connection, async manager => {
    try {
      return await manager.streams.info(stream)
    } catch (error) {
      if (apiCodeOf(error) === ApiError.streamNotFound) return undefined
      throw error
    }
  })

const hasMessages = ({ state }: StreamInfo): boolean => state.messages > 0 || state.last_seq > 0

/** Whether a restore that did not finish has left a stream. */
const isLeftover = ({ config }: StreamInfo): boolean =>
  config.metadata?.[restoredFrom] !== undefined &&
  config.metadata[keptAsCopy] === undefined &&
  config.subjects?.length === 1 &&
  config.subjects[0] === copySubject(config.name)

const notEmpty = (text: string): BackupError => new BackupError(BackupProblem.notEmpty, text)

/**
 * Returns what a restore of streams of a backup does. Changes nothing. `as`: the name of the restored stream. Rejects
 * with BackupError when a target holds messages.
 */
export const planRestore = async (
  nats: Nats,
  manifest: Manifest,
  streams: readonly BackedUpStream[],
  as: string | undefined,
): Promise<RestoreTarget[]> => {
  const targets: RestoreTarget[] = []
  for (const backedUp of streams) {
    const name = as ?? backedUp.stream
    const takenBy = await takerOf(nats, name, backedUp.config)
    if (takenBy !== undefined && as === undefined)
      throw notEmpty(
        `stream ${takenBy} takes the subjects of ${name}: restore under another name with --as, or remove that stream first`,
      )
    const info = await infoOf(nats, name)
    if (info === undefined) targets.push({ backedUp, name, outcome: 'create', takenBy })
    else if (isLeftover(info)) targets.push({ backedUp, name, outcome: 'replace unfinished', takenBy })
    else if (info.config.metadata?.[restoredFrom] === manifest.id && info.state.last_seq >= backedUp.last)
      targets.push({ backedUp, name, outcome: 'restored', takenBy })
    else if (hasMessages(info))
      throw notEmpty(
        `stream ${name} holds ${info.state.messages} messages (last sequence ${info.state.last_seq}): restore into an empty system, choose other streams with --stream, or restore under another name with --as`,
      )
    else targets.push({ backedUp, name, outcome: 'replace empty', takenBy, before: info.config })
  }
  return targets
}

/** Throws BackupError when a target is no longer as it was planned: a process has used it since. */
const checkStillAsPlanned = ({ name, outcome }: RestoreTarget, info: StreamInfo | undefined): void => {
  if (info === undefined || isLeftover(info)) return
  if (outcome === 'replace empty' && !hasMessages(info)) return
  throw notEmpty(
    `stream ${name} was ${outcome === 'replace empty' ? 'written to' : 'created'} after the plan: stop all processes of the system, and restore into an empty system`,
  )
}

/** Returns another stream that takes one of the subjects of a stream in a backup. */
const takerOf = (nats: Nats, name: string, { subjects = [] }: StreamConfig): Promise<string | undefined> =>
  askJetStream(nats.connection, async manager => {
    for (const subject of subjects) {
      const taker = (await streamsTaking(manager, subject)).find(one => one !== name)
      if (taker !== undefined) return taker
    }
    return undefined
  })

/** Returns the settings as the server of the target can have them. A single server has no replicas. */
const asOf = ({ connection }: Nats, config: StreamConfig): StreamConfig => {
  const { placement, ...rest } = config
  if (connection.info?.cluster === undefined) return { ...rest, num_replicas: 1 }
  return placement === undefined ? rest : { ...rest, placement }
}

/** Returns the settings of a copy under `name`, to which no process writes and which removes nothing. */
const copyConfig = (nats: Nats, { config }: BackedUpStream, name: string, backup: string): StreamConfig => {
  const { mirror, sources, republish, subject_transform, ...rest } = asOf(nats, config)
  const { [keptAsCopy]: kept, ...metadata } = rest.metadata ?? {}
  return {
    ...rest,
    name,
    subjects: [copySubject(name)],
    max_age: 0,
    max_msgs: -1,
    max_bytes: -1,
    max_msgs_per_subject: -1,
    discard_new_per_subject: false,
    allow_msg_ttl: false,
    deny_purge: false,
    subject_delete_marker_ttl: 0,
    metadata: { ...metadata, [restoredFrom]: backup },
  } as StreamConfig
}

/** Returns the settings of a restored stream in operation. */
const openConfig = (
  nats: Nats,
  { backedUp, name, takenBy }: RestoreTarget,
  backup: string,
): StreamConfig | undefined => {
  // A mirror gets its origin when it is created only: `region rejoin` restores mirrors.
  if (takenBy !== undefined || backedUp.config.mirror !== undefined) return undefined
  const config = asOf(nats, backedUp.config)
  return { ...config, name, metadata: { ...config.metadata, [restoredFrom]: backup } }
}

/** Returns how the state of a restored stream differs from its manifest; undefined when it does not. */
const differenceOf = (
  expected: Pick<BackedUpStream, 'first' | 'last' | 'messages' | 'bytes' | 'after'>,
  actual: Pick<RestoredStream, 'first' | 'last' | 'messages' | 'bytes'>,
): string | undefined => {
  const { after } = expected
  if (actual.last < expected.last || actual.last > after.last)
    return `its last sequence is ${actual.last} instead of ${expected.last}`
  const appended = actual.last - expected.last
  const removed = after.last - expected.last - (after.messages - expected.messages)
  const most = expected.messages + appended
  if (actual.messages > most || actual.messages < most - removed)
    return `it has ${actual.messages} messages instead of ${most}`
  if (actual.messages > 0 && expected.messages > 0)
    if (actual.first < expected.first || actual.first > Math.max(expected.first, after.first))
      return `its first sequence is ${actual.first} instead of ${expected.first}`
  if (removed === 0 && appended === 0 && actual.bytes !== expected.bytes)
    return `it has ${actual.bytes} bytes instead of ${expected.bytes}`
  return undefined
}

/** Whether a restore gives a stream the subjects of the log. */
const isOfLog = ({ backedUp, takenBy }: RestoreTarget): boolean =>
  takenBy === undefined &&
  (backedUp.config.subjects ?? []).some(subject =>
    Object.values(Family).some(family => subject.split('.').includes(family)),
  )

/** One run of a restore. */
class RestoreRun {
  readonly #nats: Nats
  readonly #files: BackupFiles
  readonly #manifest: Manifest
  readonly #options: RestoreOptions

  constructor(nats: Nats, files: BackupFiles, manifest: Manifest, options: RestoreOptions) {
    this.#nats = nats
    this.#files = files
    this.#manifest = manifest
    this.#options = options
  }

  ask<T>(request: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    return askJetStream(this.#nats.connection, request)
  }

  /** Deletes a stream; does nothing when there is none. */
  async delete(name: string): Promise<void> {
    await this.ask(async manager => {
      try {
        await manager.streams.delete(name)
      } catch (error) {
        if (apiCodeOf(error) !== ApiError.streamNotFound) throw error
      }
    })
  }

  /**
   * Creates an empty stream again. nats-server 2.15 may leave the files of a stream that was deleted right after its
   * restore, and a new stream of the same name then starts with these messages: such a stream is deleted, too.
   */
  async createEmpty(config: StreamConfig): Promise<void> {
    const { republish, subject_transform, ...rest } = config
    const inert: StreamConfig = { ...rest, subjects: [copySubject(config.name)] }
    for (let left = createAttempts; left > 0; left--) {
      const { state } = await this.ask(manager => manager.streams.add(inert))
      if (state.last_seq === 0) {
        await this.ask(manager => manager.streams.update(config.name, config))
        return
      }
      await this.delete(config.name)
      await sleep(createPauseMs)
    }
    throw new NatsError(
      NatsProblem.streams,
      `stream ${config.name}: JetStream keeps messages of the deleted stream of this name`,
    )
  }

  /**
   * Deletes the copy of a target, and creates the empty stream again that it has replaced. Leaves every other stream as
   * it is.
   */
  async undo({ name, before }: RestoreTarget): Promise<void> {
    const info = await infoOf(this.#nats, name)
    if (info !== undefined && !isLeftover(info)) return
    if (info !== undefined) await this.delete(name)
    if (before !== undefined) await this.createEmpty(before)
  }

  /** Removes snapshots of aggregates: they may be newer than the restored log. */
  async purgeSnapshots(): Promise<void> {
    await this.ask(async manager => {
      for (const name of await streamsTaking(manager, snapshotSubjects)) await manager.streams.purge(name)
    })
  }

  /** Restores one stream as a copy that no process writes to, and compares it. Rejects with BackupError. */
  async copy(backedUp: BackedUpStream, name: string): Promise<RestoredStream> {
    const { id, server } = this.#manifest
    const path = `${id}/${backedUp.file}`
    const where = `${this.#files.place}/${path}`
    const damaged = (why: string): BackupError =>
      new BackupError(BackupProblem.damaged, `${where} ${why}: restore another backup`)
    const file = await this.#files.fetch(path)
    if (file === undefined) throw damaged('is missing')
    try {
      const { size, sha256 } = await measureFile(file.path)
      if (size !== backedUp.fileSize)
        throw damaged(`has ${size} bytes instead of ${backedUp.fileSize}: it is cut off or changed`)
      if (sha256 !== backedUp.fileSha256) throw damaged('was changed after the backup')
      const { messages, bytes } = backedUp
      const config = copyConfig(this.#nats, backedUp, name, id)
      await restoreStream(this.#nats, config, { messages, bytes }, this.#read(file.path, backedUp.stream))
    } catch (error) {
      if (NatsError.is(error))
        throw new NatsError(
          NatsProblem.failed,
          `${error.message} (the snapshot is of nats-server ${server})`,
          error,
        )
      throw error
    } finally {
      await file.release()
    }
    return await this.#compare(backedUp, name)
  }

  async *#read(path: string, stream: string): AsyncIterable<Uint8Array> {
    const { key, signal, onProgress } = this.#options
    let bytes = 0
    const counted = (async function* (): AsyncIterable<Uint8Array> {
      for await (const chunk of createReadStream(path, { highWaterMark: 512 * 1024 })) {
        signal.throwIfAborted()
        bytes += (chunk as Buffer).length
        onProgress({ stream, bytes })
        yield chunk as Buffer
      }
    })()
    yield* key === undefined ? counted : key.decrypt(counted)
  }

  async #compare(backedUp: BackedUpStream, name: string): Promise<RestoredStream> {
    const { signal } = this.#options
    const { state } = await this.ask(manager => manager.streams.info(name))
    const { extent, first, last, sha256: expected } = backedUp
    const found = {
      // The first sequence of an empty stream is 0 or 1.
      first: state.messages === 0 ? first : state.first_seq,
      last: state.last_seq,
      messages: state.messages,
      bytes: state.bytes,
    }
    const fail = (difference: string): BackupError =>
      new BackupError(
        BackupProblem.differs,
        `${name} was restored from backup ${this.#manifest.id}, and differs from it: ${difference}: the copy was deleted; restore another backup`,
      )
    const difference = differenceOf(backedUp, found)
    if (difference !== undefined) throw fail(difference)
    if (expected === undefined) return { stream: name, ...found, sha256: undefined }
    const sha256 = await digestStream(this.#nats, name, { first, last }, extent, signal)
    signal.throwIfAborted()
    if (sha256 !== expected) throw fail('the checksum of its messages is another one')
    return { stream: name, ...found, sha256 }
  }
}

/**
 * Restores streams as planned: all of them as copies, which are compared, and then their real subjects and settings,
 * one stream after the other. When a copy fails, all copies are deleted, and empty streams are created again. Rejects
 * with a coded error, or with the reason of the signal.
 */
export const restoreBackup = async (
  nats: Nats,
  files: BackupFiles,
  manifest: Manifest,
  targets: readonly RestoreTarget[],
  options: RestoreOptions,
): Promise<RestoredStream[]> => {
  const run = new RestoreRun(nats, files, manifest, options)
  const restored: RestoredStream[] = []
  const begun: RestoreTarget[] = []
  try {
    for (const target of targets) {
      options.signal.throwIfAborted()
      if (target.outcome === 'restored') {
        const { first, last, messages, bytes, sha256 } = target.backedUp
        restored.push({ stream: target.name, first, last, messages, bytes, sha256 })
        continue
      }
      const found = await infoOf(nats, target.name)
      checkStillAsPlanned(target, found)
      begun.push(target)
      if (found !== undefined) await run.delete(target.name)
      restored.push(await run.copy(target.backedUp, target.name))
    }
  } catch (error) {
    // The first error says what is wrong. The next restore replaces what is left.
    for (const target of begun.reverse())
      await run.undo(target).catch((left: Error) => {
        options.onNotice(`${target.name} is not as it was before the restore: ${left.message}`)
      })
    throw error
  }
  if (begun.some(isOfLog)) await run.purgeSnapshots()
  for (const target of begun) {
    const config = openConfig(nats, target, manifest.id)
    await run.ask(async manager => {
      if (config !== undefined) await manager.streams.update(target.name, config)
      else {
        const { config: copy } = await manager.streams.info(target.name)
        const metadata = { ...copy.metadata, [keptAsCopy]: manifest.id }
        await manager.streams.update(target.name, { ...copy, metadata })
      }
    })
  }
  return restored
}

/** Restores each stream under another name, compares it, and deletes it. Rejects with a coded error. */
export const verifyBackup = async (
  nats: Nats,
  files: BackupFiles,
  manifest: Manifest,
  streams: readonly BackedUpStream[],
  options: RestoreOptions,
): Promise<RestoredStream[]> => {
  const run = new RestoreRun(nats, files, manifest, options)
  const restored: RestoredStream[] = []
  for (const backedUp of streams) {
    options.signal.throwIfAborted()
    const name = `restored-${backedUp.stream}`
    const info = await infoOf(nats, name)
    if (info !== undefined && !isLeftover(info))
      throw notEmpty(`stream ${name} is no copy of a backup: remove it first`)
    await run.delete(name)
    try {
      restored.push({ ...(await run.copy(backedUp, name)), stream: backedUp.stream })
    } catch (error) {
      // The first error says what is wrong. The next verification replaces the copy.
      await run.delete(name).catch((left: Error) => {
        options.onNotice(`the copy ${name} was not deleted: ${left.message}`)
      })
      throw error
    }
    await run.delete(name)
  }
  return restored
}
