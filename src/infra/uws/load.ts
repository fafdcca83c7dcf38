import type * as Uws from 'uWebSockets.js'
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { relinkForOlderGlibc } from './relink.ts'

/** The types of uWebSockets.js. */
export type UwsModule = typeof Uws

const open = (file: string): UwsModule => {
  const module: { exports: unknown } = { exports: {} }
  process.dlopen(module, file)
  return module.exports as UwsModule
}

/** `${XDG_CACHE_HOME:-~/.cache}/confab` */
const defaultCacheFolder = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'confab')

/** Path of the uWebSockets.js binary for this platform and Node version. */
export const binaryPath = (): string => {
  const main = createRequire(import.meta.url).resolve('uWebSockets.js')
  return join(dirname(main), `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`)
}

/**
 * Returns the relinked copy in the cache folder, and writes it if it does not exist. Its name has the hash of the
 * original.
 */
const relinkedCopy = (binary: string, folder: string): string => {
  const original = readFileSync(binary)
  const hash = createHash('sha256').update(original).digest('hex').slice(0, 32)
  const file = join(folder, `uws-${hash}.node`)
  const relinked = relinkForOlderGlibc(original)
  try {
    // Compare the content: a crash may have left a half-written copy, and the process would run it as code.
    if (readFileSync(file).equals(relinked)) return file
  } catch {
    // The copy does not exist yet.
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
 * Loads uWebSockets.js, once a process. Where glibc is too old for the binary, loads a relinked copy from the cache
 * folder of the user. Throws an Error that says what to do when neither loads.
 */
export const loadUws = (options: { cacheFolder?: string } = {}): UwsModule => {
  if (loaded !== undefined) return loaded
  const binary = binaryPath()
  try {
    loaded = open(binary)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (!reason.includes('GLIBC_2.38'))
      throw new Error(
        `uWebSockets.js does not load on ${process.platform} ${process.arch}: ${reason}. Use Linux, macOS or Windows on x64 or arm64 with a supported Node version.`,
        {
          cause: error,
        },
      )
    try {
      loaded = open(relinkedCopy(binary, options.cacheFolder ?? defaultCacheFolder()))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(
        `uWebSockets.js needs glibc 2.38 or newer, and its relinked copy does not load: ${why}. Use a newer system, or set XDG_CACHE_HOME to a writable folder.`,
        { cause },
      )
    }
  }
  return loaded
}
