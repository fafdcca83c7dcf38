import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { BackupFiles } from '../base/backup-files.ts'
import { CodedError } from '../base/coded-error.ts'
import { readErrorText } from '../base/read-error-text.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { type BackupKey, FolderFiles, isBackupName, parseBackupKey } from '../infra/nats/backup/index.ts'

/** Thrown for a place or a key of backups that cannot be used. */
export class BackupOptionError extends CodedError<'BAD_OPTION'> {}

const badOption = (message: string): BackupOptionError => new BackupOptionError('BAD_OPTION', message)

/** A place of backups. */
export interface BackupPlace {
  readonly files: BackupFiles
  /** The backup, where the place names one. */
  readonly id: string | undefined
  close(): void
}

/** Opens a folder, or a bucket of S3 and a prefix. Throws BackupOptionError. */
export const openBackupPlace = async (
  place: string,
  { s3 }: Pick<ConfabConfig, 's3'>,
): Promise<BackupPlace> => {
  if (!place.startsWith('s3://')) {
    const path = resolve(place)
    const id = isBackupName(basename(path)) ? basename(path) : undefined
    return { files: new FolderFiles(id === undefined ? path : dirname(path)), id, close: () => {} }
  }
  const [bucket = '', ...keys] = place
    .slice('s3://'.length)
    .split('/')
    .filter(part => part !== '')
  if (bucket === '') throw badOption(`${place} names no bucket: write s3://bucket/prefix`)
  const id = isBackupName(keys.at(-1) ?? '') ? keys.pop() : undefined
  const { S3BackupFiles } = await import('../infra/s3/index.ts')
  const files = new S3BackupFiles({ ...s3, bucket, prefix: keys.join('/') })
  return { files, id, close: () => files.close() }
}

/** Returns the key in a file. `option`: the option that names the file. Throws BackupOptionError. */
export const readBackupKey = async (option: string, file: string): Promise<BackupKey> => {
  let content: Uint8Array
  try {
    content = readFileSync(file)
  } catch (error) {
    throw badOption(`${option}: ${file}: ${readErrorText(error)}`)
  }
  const key = await parseBackupKey(content)
  if (key === undefined)
    throw badOption(
      `${option}: ${file} holds no key: name another file, or make a key in a new file with "age-keygen -o backup.key"`,
    )
  return key
}
