import { randomBytes } from 'node:crypto'
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makePrivateFolder, privateFileMode } from '../../base/private-files.ts'
import { hideSecret } from '../../base/redact.ts'
import { ConfigError } from './compile-config.ts'

/**
 * Creates the data folder, for this user only, if it does not exist. Throws ConfigError when the process cannot write
 * to it.
 */
export const ensureDataFolder = (data: string): void => {
  try {
    makePrivateFolder(data)
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
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: privateFileMode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const secret = readFileSync(path, 'utf8').trim()
  hideSecret(secret)
  return secret
}
