import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface FolderLock {
  release(): void
}

/**
 * Holds a folder for this process; undefined while another one does. An exclusive transaction on an empty SQLite file: the operating system drops that
 * lock whenever its process ends, on kill -9 too, so that there is no stale lock to judge. (Node has no flock of its own.)
 */
export const lockFolder = (folder: string): FolderLock | undefined => {
  const database = new DatabaseSync(join(folder, 'lock'), { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === 5) return undefined
    throw error
  }
  return { release: () => database.close() }
}
