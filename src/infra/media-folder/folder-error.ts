import { ConfabError, type ErrorCode } from '../../events/index.ts'
import { MediaProblem, MediaStoreError } from '../../media/index.ts'

export const isMissing = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** Translates an error of the file system. */
export const asStoreError = (folder: string, error: unknown): Error => {
  if (MediaStoreError.is(error) || ConfabError.is(error) || error instanceof TypeError) return error
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
