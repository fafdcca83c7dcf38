export * from './s3-media.ts'
