export type { S3MediaOptions } from './options.ts'
export { S3BackupFiles } from './s3-backup-files.ts'
export * from './s3-media.ts'
