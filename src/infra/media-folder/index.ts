export * from './media-folder.ts'
