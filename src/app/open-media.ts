import { join } from 'node:path'
import { ConfigError } from '../infra/config/index.ts'
import { openMediaFolder } from '../infra/media-folder/index.ts'
import { Media, MediaProblem, type MediaStore, MediaStoreError } from '../media/index.ts'
import type { ProcessContext } from './lifecycle.ts'

/**
 * Opens the media store: S3 where a bucket is configured, else a folder.
 *
 * Rejects with MediaStoreError when the bucket is missing or refuses access. A store that cannot be reached is only
 * logged: requests that need it answer UNAVAILABLE until it can be reached.
 */
export const openMedia = async (context: ProcessContext): Promise<Media> => {
  const { config, logger } = context
  const store = await openStore(context)
  try {
    await store.check()
  } catch (error) {
    if (!MediaStoreError.is(error) || error.code !== MediaProblem.unreachable) throw error
    logger.warn({ err: error, code: error.code }, 'media store cannot be reached')
  }
  return new Media(store, config.media, error =>
    logger.warn({ err: error, code: error.code }, 'media store failed'),
  )
}

const openStore = async ({ config, onStop }: ProcessContext): Promise<MediaStore> => {
  const { bucket, endpoint } = config.s3
  if (bucket === undefined) {
    if (endpoint !== undefined)
      throw new ConfigError(['s3.endpoint: a server is set, but s3.bucket names no bucket; set both'])
    return await openMediaFolder(config.mediaFolder ?? join(config.data, 'media'))
  }
  // The S3 client is loaded on demand: it takes a while.
  const { S3Media } = await import('../infra/s3/index.ts')
  const store = new S3Media({ ...config.s3, bucket })
  onStop('media', () => store.close())
  return store
}
