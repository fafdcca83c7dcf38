import { BackupError, BackupProblem } from '../../../base/backup-error.ts'
import type { BackupFiles } from '../../../base/backup-files.ts'
import type { Nats } from '../client/connection.ts'
import { backedUpStreams } from './backed-up-streams.ts'
import { listBackups } from './find-backup.ts'
import { type Manifest, manifestFile, writeManifest } from './manifest.ts'
import { verifyBackup } from './restore-backup.ts'
import { backupsToRemove, type KeepRules } from './retention.ts'
import { type TakeBackupOptions, takeBackup, writeText } from './take-backup.ts'

export interface RunBackupOptions extends Omit<TakeBackupOptions, 'streams' | 'extent' | 'isPartial'> {
  /** Default: all streams of a backup. */
  readonly streams?: readonly string[] | undefined
  /** Restores a copy of each stream and compares all messages. */
  readonly verify: boolean
  /** Undefined: no backup is removed. */
  readonly keep: KeepRules | undefined
  /** Called when the backup is complete, before it is verified. */
  readonly onTaken?: (manifest: Manifest) => void
}

export interface BackupOutcome {
  readonly manifest: Manifest
  /** Streams whose files were those of the backup before. */
  readonly reused: readonly string[]
  /** Backups that the retention has removed. */
  readonly removed: readonly string[]
}

/** Whether an error says that a backup cannot be restored. Other errors say nothing about the backup. */
const isUnusable = (error: unknown): boolean =>
  BackupError.is(error) && (error.code === BackupProblem.damaged || error.code === BackupProblem.differs)

/** Verifies a backup and notes that in its manifest. Removes a backup that cannot be restored. */
const verified = async (
  nats: Nats,
  files: BackupFiles,
  manifest: Manifest,
  options: RunBackupOptions,
): Promise<Manifest> => {
  const { id, streams } = manifest
  try {
    await verifyBackup(nats, files, manifest, streams, options)
  } catch (error) {
    if (isUnusable(error)) await files.remove(id)
    else options.onNotice(`backup ${id} is complete, but not verified: "confab restore --verify" verifies it`)
    throw error
  }
  const noted: Manifest = { ...manifest, verifiedAt: new Date().toISOString() }
  await writeText(files, `${id}/${manifestFile}`, writeManifest(noted, options.key))
  return noted
}

/** Removes the backups that no rule keeps, oldest first. Returns their ids. A failure is a notice only. */
const removeOld = async (
  files: BackupFiles,
  keep: KeepRules,
  { onNotice, signal }: Pick<RunBackupOptions, 'onNotice' | 'signal'>,
): Promise<string[]> => {
  const removed: string[] = []
  try {
    for (const id of backupsToRemove(await listBackups(files, onNotice), keep, Date.now())) {
      if (signal.aborted) break
      await files.remove(id)
      removed.push(id)
    }
  } catch (error) {
    onNotice(`old backups are left in ${files.place}: ${(error as Error).message}`)
  }
  return removed
}

/**
 * Takes a backup, verifies it, and removes old ones. Only a backup that has succeeded removes others. Rejects with a
 * coded error, or with the reason of the signal.
 */
export const runBackup = async (
  nats: Nats,
  files: BackupFiles,
  options: RunBackupOptions,
): Promise<BackupOutcome> => {
  const { streams, verify, keep, onTaken } = options
  const taken = await takeBackup(nats, files, {
    ...options,
    streams: streams ?? (await backedUpStreams(nats.connection)),
    isPartial: streams !== undefined,
    extent: verify ? 'all' : 'samples',
  })
  onTaken?.(taken.manifest)
  const manifest = verify ? await verified(nats, files, taken.manifest, options) : taken.manifest
  const removed = keep === undefined ? [] : await removeOld(files, keep, options)
  return { manifest, reused: taken.reused, removed }
}
