export * from './media.ts'
export * from './media-store.ts'
export { MediaSweeper, type MediaSweeperOptions, sweepMedia } from './media-sweeper.ts'
export { contentDisposition } from './media-type.ts'
