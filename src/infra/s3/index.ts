export type { S3MediaOptions } from './options.ts'
export { S3BackupFiles, type S3BackupOptions } from './s3-backup-files.ts'
export * from './s3-media.ts'
