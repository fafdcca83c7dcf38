import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureDataFolder } from './data-folder.ts'

/** The secret that a development server signs with: random, made once, kept in `<data>/dev-secret` for the owner alone. */
export const devSecret = (data: string): string => {
  const path = join(data, 'dev-secret')
  ensureDataFolder(data)
  try {
    // Exclusive: of two processes that start at once, one writes and both read the same.
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(path, 'utf8').trim()
}
