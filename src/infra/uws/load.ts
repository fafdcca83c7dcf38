import type * as Uws from 'uWebSockets.js'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { relinkForOlderGlibc } from './relink.ts'

/** uWebSockets.js, typed. */
export type UwsModule = typeof Uws

const open = (file: string): UwsModule => {
  const module: { exports: unknown } = { exports: {} }
  process.dlopen(module, file)
  return module.exports as UwsModule
}

/** `${XDG_CACHE_HOME:-~/.cache}/confab` */
const defaultCacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'confab')

/** Where uWebSockets.js keeps the binary of this platform and this Node. */
export const binaryPath = (): string => {
  const main = createRequire(import.meta.url).resolve('uWebSockets.js')
  return join(dirname(main), `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`)
}

/** The relinked copy in the cache folder, written when it is not there. Its name has the original's hash, so that another version makes another copy. */
const relinkedCopy = (binary: string, folder: string): string => {
  const original = readFileSync(binary)
  const hash = createHash('sha256').update(original).digest('hex').slice(0, 32)
  const file = join(folder, `uws-${hash}.node`)
  const relinked = relinkForOlderGlibc(original)
  try {
    // Compared, not trusted: it is code, and a half-written one from a crash would load as anything.
    if (readFileSync(file).equals(relinked)) return file
  } catch {
    // not there yet
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const fresh = join(folder, `uws-${randomUUID()}.tmp`)
  try {
    writeFileSync(fresh, relinked, { mode: 0o700 })
    renameSync(fresh, file)
  } catch (error) {
    rmSync(fresh, { force: true })
    throw error
  }
  return file
}

let loaded: UwsModule | undefined

/**
 * Loads uWebSockets.js, once a process. Where glibc is too old for its binary, loads a relinked copy from the user's cache folder instead. Throws an Error
 * that says what to do when neither loads.
 */
export const loadUws = (options: { cacheFolder?: string } = {}): UwsModule => {
  if (loaded !== undefined) return loaded
  const binary = binaryPath()
  try {
    loaded = open(binary)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (!reason.includes('GLIBC_2.38'))
      throw new Error(`uWebSockets.js does not load on ${process.platform} ${process.arch}: ${reason}`, {
        cause: error,
      })
    try {
      loaded = open(relinkedCopy(binary, options.cacheFolder ?? defaultCacheFolder()))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(
        `uWebSockets.js needs glibc 2.38 or newer here, and its relinked copy does not load either: ${why}. Use a newer system, or set XDG_CACHE_HOME to a writable folder.`,
        { cause },
      )
    }
  }
  return loaded
}
