import { join } from 'node:path'
import { ConfigError } from '../infra/config/index.ts'
import { openMediaFolder } from '../infra/media-folder/index.ts'
import { Media, MediaProblem, type MediaStore, MediaStoreError } from '../media/index.ts'
import type { ProcessContext } from './lifecycle.ts'

/**
 * Media, in S3 where a bucket is named, else in the data folder. A bucket that is missing or refuses is a fault of the configuration, and rejects with MediaStoreError; a store that is not reached now may be later: that is
 * logged, and what needs it is UNAVAILABLE until then.
 */
export const openMedia = async (context: ProcessContext): Promise<Media> => {
  const { config, logger } = context
  const store = await openStore(context)
  try {
    await store.check()
  } catch (error) {
    if (!MediaStoreError.is(error) || error.code !== MediaProblem.unreachable) throw error
    logger.warn({ err: error, code: error.code }, 'the store of media is not reached')
  }
  return new Media(store, config.media, error =>
    logger.warn({ err: error, code: error.code }, 'the store of media cannot be used'),
  )
}

const openStore = async ({ config, onStop }: ProcessContext): Promise<MediaStore> => {
  const { bucket, endpoint } = config.s3
  if (bucket === undefined) {
    if (endpoint !== undefined)
      throw new ConfigError(['s3.endpoint: names a server, but s3.bucket names no bucket'])
    return await openMediaFolder(config.mediaFolder ?? join(config.data, 'media'))
  }
  // Loaded where it is used: it takes a while.
  const { S3Media } = await import('../infra/s3/index.ts')
  const store = new S3Media({ ...config.s3, bucket })
  onStop('media', () => store.close())
  return store
}
