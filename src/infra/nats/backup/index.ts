export { BackupError, BackupProblem } from '../../../base/backup-error.ts'
export { backedUpStreams } from './backed-up-streams.ts'
export { type BackupKey, parseBackupKey } from './backup-key.ts'
export { findBackup, isBackupName, listBackups, newestBackup } from './find-backup.ts'
export { FolderFiles } from './folder-files.ts'
export { type BackedUpStream, type Manifest, WrongKeyError } from './manifest.ts'
export {
  planRestore,
  type RestoredStream,
  type RestoreTarget,
  restoreBackup,
  verifyBackup,
} from './restore-backup.ts'
export { backupsToRemove, type FoundBackup, type KeepRules } from './retention.ts'
export { type BackupOutcome, runBackup } from './run-backup.ts'
export { type TransferProgress, takeBackup } from './take-backup.ts'
