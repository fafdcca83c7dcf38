import { createHash } from 'node:crypto'
import { ConfabError } from '../events/index.ts'
import { noMedia, type UploadFacts, uploadContent, uploadFacts, writeJson } from './media-binding.ts'
import type { MediaStore } from './media-store.ts'
import { contradicts, sniffBytes } from './media-type.ts'

/** What a whole object is, read from the store. */
const lookAt = async (
  store: MediaStore,
  key: string,
): Promise<{ size: number; sha256: string; start: Uint8Array }> => {
  const hash = createHash('sha256')
  let size = 0
  let start = Buffer.alloc(0)
  for await (const chunk of store.read(key)) {
    hash.update(chunk)
    size += chunk.length
    if (start.length < sniffBytes)
      start = Buffer.concat([start, chunk.subarray(0, sniffBytes - start.length)])
  }
  return { size, sha256: hash.digest('hex'), start }
}

const mismatch = (field: string, message: string): ConfabError =>
  new ConfabError('MEDIA_MISMATCH', message, { field })

/**
 * Puts an upload's parts together and looks at what they are. Rejects with ConfabError: MEDIA_INCOMPLETE while parts
 * are missing, MEDIA_MISMATCH when it is not what was announced; it is removed then.
 */
export const verifyUpload = async (
  store: MediaStore,
  facts: UploadFacts,
  sizeOfPart: (part: number) => number,
): Promise<void> => {
  const { mediaId, upload, size, sha256, type, partBytes } = facts
  const key = uploadContent(mediaId)
  const drop = () => store.remove([key, uploadFacts(mediaId)])
  const parts = upload === undefined ? undefined : await store.parts(key, upload)
  if (upload !== undefined && parts !== undefined) {
    const expected = Math.ceil(size / partBytes)
    const fitting = parts.filter(({ part, size }) => part <= expected && size === sizeOfPart(part))
    if (fitting.length < parts.length) {
      await store.abandonUpload(key, upload)
      await drop()
      throw mismatch('/size', 'size: not as announced. The upload has been dropped; begin anew.')
    }
    if (fitting.length < expected)
      throw new ConfabError(
        'MEDIA_INCOMPLETE',
        `${expected - fitting.length} of ${expected} parts are missing.`,
      )
    await store.finishUpload(key, upload)
  } else if ((await store.head(key)) === undefined) throw noMedia('/mediaId')

  const found = await lookAt(store, key)
  const wrong =
    found.size !== size
      ? mismatch('/size', 'size: not as announced. The upload has been dropped; begin anew.')
      : found.sha256 !== sha256
        ? mismatch(
            '/sha256',
            'sha256: not that of what was uploaded. The upload has been dropped; begin anew.',
          )
        : contradicts(type, found.start)
          ? mismatch(
              '/type',
              'type: what was uploaded is something else. The upload has been dropped; begin anew.',
            )
          : undefined
  if (wrong !== undefined) {
    await drop()
    throw wrong
  }
  await writeJson(store, uploadFacts(mediaId), { ...facts, verified: true })
}
