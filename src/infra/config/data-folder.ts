import { randomBytes } from 'node:crypto'
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from './compile-config.ts'

/** Creates the data folder if it does not exist. Throws ConfigError when the process cannot write to it. */
export const ensureDataFolder = (data: string): void => {
  try {
    mkdirSync(data, { recursive: true })
    accessSync(data, constants.W_OK)
  } catch (error) {
    // Node reports ENOENT for a folder that cannot be created on a read-only disk.
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    const why = code === 'EROFS' || code === 'ENOENT' ? 'read-only file system, or no permission' : code
    throw new ConfigError([`the data folder ${data} is not writable (${why}): name another with --data`])
  }
}

/**
 * The secret of development tokens: random, created once, in `<data>/dev-secret`. Only the owner of the file can read
 * it.
 */
export const devSecret = (data: string): string => {
  const path = join(data, 'dev-secret')
  ensureDataFolder(data)
  try {
    // Exclusive: if two processes start at the same time, one writes the file and both read it.
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(path, 'utf8').trim()
}
