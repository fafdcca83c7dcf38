import { CodedError } from './coded-error.ts'

/** Problems with backups. docs/errors.md lists them for operators. */
export const BackupProblem = {
  /** A file is missing, cut off or changed, or confab (of this version) did not write it. */
  damaged: 'BACKUP_DAMAGED',
  /** A restored stream is not what the manifest says. */
  differs: 'BACKUP_DIFFERS',
  /** The target of a restore holds messages. */
  notEmpty: 'TARGET_NOT_EMPTY',
  /** The place of the backups, or the folder of temporary files, cannot be read or written. */
  failed: 'BACKUP_FAILED',
} as const
export type BackupProblem = (typeof BackupProblem)[keyof typeof BackupProblem]

/** Thrown when a backup cannot be made or restored. The message is for the operator, and says what to do. */
export class BackupError extends CodedError<BackupProblem> {}

/** Runs work in a folder. Errors of the file system become BackupError, which names the folder; others stay. */
export const inFolder = async <T>(folder: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if ((error as NodeJS.ErrnoException | undefined)?.syscall === undefined) throw error
    throw new BackupError(
      BackupProblem.failed,
      `the folder ${folder} cannot be used: ${(error as Error).message}: check its mode and the space on its disk`,
      error,
    )
  }
}
