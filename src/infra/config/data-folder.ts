import { accessSync, constants, mkdirSync } from 'node:fs'
import { ConfigError } from './compile-config.ts'

/** Makes the data folder when there is none. Throws ConfigError when it cannot be written. */
export const ensureDataFolder = (data: string): void => {
  try {
    mkdirSync(data, { recursive: true })
    accessSync(data, constants.W_OK)
  } catch (error) {
    // Of a folder that cannot be made on a read-only disk, Node says ENOENT.
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    const why = code === 'EROFS' || code === 'ENOENT' ? 'read-only file system, or no permission' : code
    throw new ConfigError([`the data folder ${data} cannot be written (${why}); name another with --data`])
  }
}
