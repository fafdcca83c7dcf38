import { chmodSync, type Dirent, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Modes of folders and files that only their owner may read. */
export const privateFolderMode = 0o700
export const privateFileMode = 0o600

/** Permissions of the group and of all other users. */
const ofOthers = 0o077
const sticky = 0o1000

/** Creates a folder, and those above it, for this user only. A folder that exists keeps its mode. */
export const makePrivateFolder = (path: string): void => {
  mkdirSync(path, { recursive: true, mode: privateFolderMode })
}

/** Writes a file for this user only, also where it exists with another mode. */
export const writePrivateFile = (path: string, content: string): void => {
  writeFileSync(path, content, { mode: privateFileMode })
  chmodSync(path, privateFileMode)
}

/** The files and folders that confab creates in a data folder. A data folder may hold files of other programs. */
const ownEntry = /^(nats|views|media|nats\.json(\.new)?|serve.*\.json|dev-secret)$/

export interface Tightened {
  /** Number of files and folders that other users could read, and cannot any more. */
  readonly changed: number
  /** Paths whose mode this process may not change. */
  readonly failed: readonly string[]
}

/**
 * Takes the permissions of other users from a data folder and from what confab created in it. Below `nats`, `views` and
 * `media` it looks at the first level only, unless the data folder itself was open: what is deeper is in folders that
 * are private already. Symbolic links are left alone.
 */
export const tightenDataFolder = (data: string): Tightened => {
  let changed = 0
  const failed: string[] = []

  /** Returns whether other users had permissions. */
  const tighten = (path: string): boolean => {
    try {
      const { mode } = lstatSync(path)
      if ((mode & ofOthers) === 0) return false
      chmodSync(path, mode & 0o700)
      changed++
    } catch (error) {
      // ENOENT: another process has removed the file.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') failed.push(path)
    }
    return true
  }
  const entriesOf = (folder: string): Dirent[] => {
    try {
      return readdirSync(folder, { withFileTypes: true }).filter(
        entry => entry.isFile() || entry.isDirectory(),
      )
    } catch {
      return []
    }
  }
  const visit = (folder: string, entries: readonly Dirent[], levels: number): void => {
    for (const entry of entries) {
      const path = join(folder, entry.name)
      const wasOpen = tighten(path)
      if (entry.isDirectory() && (levels > 0 || wasOpen)) visit(path, entriesOf(path), levels - 1)
    }
  }

  let mode: number
  try {
    mode = lstatSync(data).mode
  } catch {
    return { changed, failed }
  }
  // A shared folder such as /tmp belongs to others, too.
  const wasOpen = (mode & sticky) === 0 && tighten(data)
  const own = entriesOf(data).filter(({ name }) => ownEntry.test(name))
  visit(data, own, wasOpen ? Number.POSITIVE_INFINITY : 1)
  return { changed, failed }
}
