export type { S3MediaOptions } from './options.ts'
export * from './s3-media.ts'
