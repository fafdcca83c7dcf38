import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { StreamInfo } from '@nats-io/jetstream'
import { type BackupFiles, measureFile, type WrittenFile } from '../../../base/backup-files.ts'
import type { Nats } from '../client/connection.ts'
import { askJetStream } from '../client/jetstream-api.ts'
import type { BackupKey } from './backup-key.ts'
import { findBackup } from './find-backup.ts'
import {
  type BackedUpStream,
  type Manifest,
  manifestFile,
  manifestVersion,
  writeManifest,
} from './manifest.ts'
import { type DigestExtent, digestStream } from './stream-digest.ts'
import { snapshotStream } from './stream-snapshot.ts'

/** The progress of a backup or a restore. */
export interface TransferProgress {
  readonly stream: string
  /** Bytes of the stream's file so far. */
  readonly bytes: number
}

export interface TakeBackupOptions {
  readonly streams: readonly string[]
  /** An operator has chosen the streams. */
  readonly isPartial?: boolean
  readonly key: BackupKey | undefined
  /** Coverage of the checksum of a stream's messages. */
  readonly extent: DigestExtent
  /** Version of confab. */
  readonly confab: string
  readonly signal: AbortSignal
  readonly onProgress: (progress: TransferProgress) => void
  /** Receives facts that the operator should know. */
  readonly onNotice: (notice: string) => void
}

/** Writes a file with a text. */
export const writeText = (files: BackupFiles, name: string, text: string): Promise<WrittenFile> =>
  files.write(
    name,
    (async function* () {
      yield Buffer.from(text)
    })(),
  )

/** `20261130T195325123Z-1f3a`: names sort by the time of the start. */
const newId = (startedAt: string): string =>
  `${startedAt.replaceAll(/[-:.]/g, '')}-${randomBytes(2).toString('hex')}`

/** Whether only appends changed a stream, if anything did. */
const isAppendedOnly = (
  before: Pick<BackedUpStream, 'first' | 'last' | 'messages'>,
  after: BackedUpStream['after'],
): boolean =>
  (before.messages === 0 || after.first === before.first) &&
  after.messages - before.messages === after.last - before.last

const infoOf = (nats: Nats, stream: string): Promise<StreamInfo> =>
  askJetStream(nats.connection, manager => manager.streams.info(stream))

/** One run of a backup. */
class BackupRun {
  readonly #nats: Nats
  readonly #files: BackupFiles
  readonly #options: TakeBackupOptions
  readonly #server: string
  readonly #previous: Manifest | undefined
  readonly #id: string

  constructor(
    nats: Nats,
    files: BackupFiles,
    options: TakeBackupOptions,
    id: string,
    server: string,
    previous: Manifest | undefined,
  ) {
    this.#nats = nats
    this.#files = files
    this.#options = options
    this.#id = id
    this.#server = server
    this.#previous = previous
  }

  /** Uses the file of the previous backup again for a stream that has not changed, else makes a snapshot. */
  async add(stream: string): Promise<{ entry: BackedUpStream; isReused: boolean }> {
    const info = await infoOf(this.#nats, stream)
    const reused = await this.#reuse(info)
    return reused === undefined
      ? { entry: await this.#snapshot(info), isReused: false }
      : { entry: reused, isReused: true }
  }

  async #reuse({ config, state, created }: StreamInfo): Promise<BackedUpStream | undefined> {
    const { extent, onNotice } = this.#options
    const previous = this.#previous
    const entry = previous?.streams.find(({ stream }) => stream === config.name)
    if (previous === undefined || entry === undefined) return undefined
    const { first, last, messages, bytes } = entry
    const isUnchanged =
      previous.server === this.#server &&
      entry.createdAt === created &&
      entry.sha256 !== undefined &&
      (extent === 'samples' || entry.extent === 'all') &&
      isDeepStrictEqual(entry.after, { first, last, messages }) &&
      isDeepStrictEqual(
        [first, last, messages, bytes],
        [state.first_seq, state.last_seq, state.messages, state.bytes],
      ) &&
      isDeepStrictEqual(entry.config, config)
    if (!isUnchanged) return undefined
    const name = `${this.#id}/${entry.file}`
    if (!(await this.#files.copy(`${previous.id}/${entry.file}`, name))) return undefined
    const file = await this.#files.fetch(name)
    const measured = file === undefined ? undefined : await measureFile(file.path)
    await file?.release()
    if (measured?.sha256 === entry.fileSha256) return entry
    onNotice(`the file of ${config.name} in backup ${previous.id} is damaged: a new snapshot replaces it`)
    return undefined
  }

  async #snapshot(info: StreamInfo): Promise<BackedUpStream> {
    const { key, extent, signal, onNotice } = this.#options
    const stream = info.config.name
    const { state, chunks } = await snapshotStream(this.#nats, stream)
    const file = `${stream}.snapshot${key === undefined ? '' : '.age'}`
    const counted = this.#counted(stream, chunks)
    const written: WrittenFile = await this.#files.write(
      `${this.#id}/${file}`,
      key === undefined ? counted : key.encrypt(counted),
    )
    const range = { first: state.first_seq, last: state.last_seq }
    const afterSnapshot = await this.#stateOf(stream)
    const digest = await digestStream(this.#nats, stream, range, extent, signal)
    signal.throwIfAborted()
    // A message that was removed since the start may be in the snapshot and not in the digest, or the other way round.
    const isComparable = isAppendedOnly({ ...range, messages: state.messages }, await this.#stateOf(stream))
    if (!isComparable)
      onNotice(`messages of ${stream} were removed during the backup: a restore compares its sequences only`)
    return {
      stream,
      ...range,
      messages: state.messages,
      bytes: state.bytes,
      after: afterSnapshot,
      ...(isComparable ? { sha256: digest } : {}),
      extent,
      createdAt: info.created,
      file,
      fileSize: written.size,
      fileSha256: written.sha256,
      config: info.config,
    }
  }

  async #stateOf(stream: string): Promise<BackedUpStream['after']> {
    const { state } = await infoOf(this.#nats, stream)
    return { first: state.first_seq, last: state.last_seq, messages: state.messages }
  }

  async *#counted(stream: string, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    let bytes = 0
    for await (const chunk of chunks) {
      this.#options.signal.throwIfAborted()
      bytes += chunk.length
      this.#options.onProgress({ stream, bytes })
      yield chunk
    }
  }
}

/**
 * Backs streams up, one after the other. Writes the manifest last, and removes what it has written when it fails.
 * Rejects with a coded error, or with the reason of the signal.
 */
export const takeBackup = async (
  nats: Nats,
  files: BackupFiles,
  options: TakeBackupOptions,
): Promise<{ manifest: Manifest; reused: readonly string[] }> => {
  const { key, signal, onNotice } = options
  const startedAt = new Date().toISOString()
  const id = newId(startedAt)
  const server = nats.connection.info?.version ?? 'unknown'
  const previous = await findBackup(files, { key, streams: options.streams }).catch(error => {
    onNotice(`no file of an earlier backup is used again: ${(error as Error).message}`)
    return undefined
  })
  const run = new BackupRun(nats, files, options, id, server, previous)
  const streams: BackedUpStream[] = []
  const reused: string[] = []
  try {
    for (const stream of options.streams) {
      signal.throwIfAborted()
      const { entry, isReused } = await run.add(stream)
      streams.push(entry)
      if (isReused) reused.push(stream)
    }
    const manifest: Manifest = {
      format: 'confab-backup',
      version: manifestVersion,
      id,
      confab: options.confab,
      server,
      startedAt,
      finishedAt: new Date().toISOString(),
      ...(previous === undefined || reused.length === 0 ? {} : { previous: previous.id }),
      ...(key === undefined ? {} : { key: key.fingerprint }),
      ...(options.isPartial ? { partial: true as const } : {}),
      streams,
    }
    await writeText(files, `${id}/${manifestFile}`, writeManifest(manifest, key))
    return { manifest, reused }
  } catch (error) {
    // The first error says what is wrong. A backup without a manifest is never restored.
    await files.remove(id).catch(() => {})
    throw error
  }
}
