export { BackupError, BackupProblem } from '../../../base/backup-error.ts'
export { backedUpStreams } from './backed-up-streams.ts'
export { type BackupKey, parseBackupKey } from './backup-key.ts'
export { findBackup, isBackupName } from './find-backup.ts'
export { FolderFiles } from './folder-files.ts'
export type { BackedUpStream, Manifest } from './manifest.ts'
export {
  planRestore,
  type RestoredStream,
  type RestoreTarget,
  restoreBackup,
  verifyBackup,
} from './restore-backup.ts'
export { type TransferProgress, takeBackup } from './take-backup.ts'
