import { BackupError, BackupProblem } from '../../../base/backup-error.ts'
import type { BackupFiles } from '../../../base/backup-files.ts'
import type { BackupKey } from './backup-key.ts'
import { type Manifest, manifestFile, parseManifest, readManifest } from './manifest.ts'
import type { FoundBackup } from './retention.ts'

export interface FindBackupOptions {
  readonly key: BackupKey | undefined
  /** The backup has to be finished by this time. Default: the newest one. */
  readonly at?: Date | undefined
  /** The name of the backup. Default: the newest one. */
  readonly id?: string | undefined
  /**
   * A partial backup counts only when it has all of these streams, or when `id` names it: the newest backup of a system
   * must not be one of some streams.
   */
  readonly streams?: readonly string[] | undefined
  /** Receives the names of unfinished backups that are newer than the one found. */
  readonly onUnfinished?: (id: string) => void
}

/** The form of the name of a backup: the time of its start. */
const backupName = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-[0-9a-f]{4}$/

/** Whether a name is one of a backup. */
export const isBackupName = (name: string): boolean => backupName.test(name)

const startOf = (id: string): number => Date.parse(id.replace(backupName, '$1-$2-$3T$4:$5:$6.$7Z'))

const hasAll = ({ streams }: Manifest, names: readonly string[] | undefined): boolean =>
  names?.every(name => streams.some(({ stream }) => stream === name)) ?? false

/**
 * Returns the newest finished backup of a place; undefined when there is none. Rejects with BackupError when its
 * manifest is damaged, and with WrongKeyError.
 */
export const findBackup = async (
  files: BackupFiles,
  { key, at, id: only, streams, onUnfinished }: FindBackupOptions,
): Promise<Manifest | undefined> => {
  const until = at?.getTime() ?? Number.POSITIVE_INFINITY
  const ids = (await files.backups()).filter(
    id => isBackupName(id) && startOf(id) <= until && (only === undefined || id === only),
  )
  for (const id of ids.reverse()) {
    const content = await files.read(`${id}/${manifestFile}`)
    if (content === undefined) {
      onUnfinished?.(id)
      continue
    }
    const where = `${files.place}/${id}/${manifestFile}`
    const manifest = readManifest(content, where, key)
    if (manifest.id !== id)
      throw new BackupError(
        BackupProblem.damaged,
        `${where} is the manifest of another backup, ${manifest.id}: restore another backup`,
      )
    if (Date.parse(manifest.finishedAt) > until) continue
    if (!manifest.partial || id === only || hasAll(manifest, streams)) return manifest
  }
  return undefined
}

/**
 * Returns all folders of a place with the name of a backup, in ascending order of their starts. Needs no key. Rejects
 * with a coded error when the place cannot be read. `onNotice` receives why a manifest cannot be read.
 */
export const listBackups = async (
  files: BackupFiles,
  onNotice: (notice: string) => void,
): Promise<FoundBackup[]> => {
  const found: FoundBackup[] = []
  for (const id of (await files.backups()).filter(isBackupName))
    found.push({ id, startedAt: startOf(id), state: await stateOf(files, id, onNotice) })
  return found
}

const stateOf = async (
  files: BackupFiles,
  id: string,
  onNotice: (notice: string) => void,
): Promise<FoundBackup['state']> => {
  const content = await files.read(`${id}/${manifestFile}`)
  if (content === undefined) return 'unfinished'
  try {
    const { manifest } = parseManifest(content, `${files.place}/${id}/${manifestFile}`)
    if (manifest.id !== id) {
      onNotice(`${files.place}/${id}/${manifestFile} is the manifest of another backup, ${manifest.id}`)
      return 'unreadable'
    }
    if (manifest.partial) return 'partial'
    return manifest.verifiedAt === undefined ? 'finished' : 'verified'
  } catch (error) {
    onNotice((error as Error).message)
    return 'unreadable'
  }
}

/** Returns the start of the newest finished backup of all streams, ms; undefined when there is none. */
export const newestBackup = async (files: BackupFiles): Promise<number | undefined> =>
  (await listBackups(files, () => {})).findLast(({ state }) => state === 'finished' || state === 'verified')
    ?.startedAt
