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
import type { Nats } from '../../src/infra/nats/client/connection.ts'

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
  }: BackupTestOptions & { readonly as?: string } = {},
): Promise<RestoredStream[]> => {
  const manifest = await findBackup(files, { key })
  if (manifest === undefined) throw new Error('no finished backup')
  const chosen = manifest.streams.filter(({ stream }) => streams === undefined || streams.includes(stream))
  const targets = await planRestore(nats, manifest, chosen, as)
  return restoreBackup(nats, files, manifest, targets, { key, signal, onProgress })
}
