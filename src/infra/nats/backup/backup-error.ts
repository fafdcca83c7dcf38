import { CodedError } from '../../../base/coded-error.ts'

/** Problems with backups. docs/errors.md lists them for operators. */
export const BackupProblem = {
  /** A file is missing, cut off or changed, or confab (of this version) did not write it. */
  damaged: 'BACKUP_DAMAGED',
  /** A restored stream is not what the manifest says. */
  differs: 'BACKUP_DIFFERS',
  /** The target of a restore holds messages. */
  notEmpty: 'TARGET_NOT_EMPTY',
  /** The place of the backups cannot be read or written. */
  failed: 'BACKUP_FAILED',
} as const
export type BackupProblem = (typeof BackupProblem)[keyof typeof BackupProblem]

/** Thrown when a backup cannot be made or restored. The message is for the operator, and says what to do. */
export class BackupError extends CodedError<BackupProblem> {}
