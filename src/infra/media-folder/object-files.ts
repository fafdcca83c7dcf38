import { join } from 'node:path'
import { ConfabError, type ErrorCode, InvalidNameError } from '../../events/index.ts'
import { MediaProblem, MediaStoreError } from '../../media/index.ts'

const segment = /^[A-Za-z0-9_-]{1,100}$/

/** Encodes a capital letter as `+` and lower case: case-insensitive file systems would confuse ids. */
const fileName = (name: string): string => name.replace(/[A-Z]/g, letter => `+${letter.toLowerCase()}`)

const nameOf = (file: string): string =>
  file.replace(/\+([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Returns the path of a key, always inside the folder. Throws InvalidNameError for an invalid key. */
export const pathOf = (folder: string, key: string): string => {
  const segments = key.split('/')
  if (!segments.every(each => segment.test(each))) throw new InvalidNameError('an object key')
  return join(folder, ...segments.map(fileName))
}

/** Returns the segment of a file or folder name; undefined for a name that confab did not write. */
export const segmentOf = (file: string): string | undefined => {
  const name = nameOf(file)
  return segment.test(name) && fileName(name) === file ? name : undefined
}

export const isMissing = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** Translates an error of the file system. */
export const asStoreError = (folder: string, error: unknown): Error => {
  if (MediaStoreError.is(error) || ConfabError.is(error) || InvalidNameError.is(error)) return error
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new MediaStoreError(MediaProblem.full, `no space is left in the media folder ${folder}`, error)
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new MediaStoreError(
      MediaProblem.denied,
      `the media folder ${folder} cannot be written (${code})`,
      error,
    )
  return new MediaStoreError(
    MediaProblem.failed,
    `the media folder ${folder} cannot be used (${code ?? String(error)})`,
    error,
  )
}

export const refused = (code: ErrorCode, message?: string): ConfabError => new ConfabError(code, message)
