import { createHash } from 'node:crypto'
import { ConfabError } from '../events/index.ts'
import { currentDescription } from './described-file.ts'
import { noMedia, type UploadFacts, uploadContent, uploadFacts, writeJson } from './media-binding.ts'
import type { MediaStore } from './media-store.ts'
import { mayHaveType, sniffBytes } from './media-type.ts'

/** Reads an object and returns its size, hash and first bytes. */
const readContent = async (
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
 * Assembles the parts of an upload and verifies size, hash and type. Rejects with ConfabError: MEDIA_INCOMPLETE while
 * parts are missing; MEDIA_MISMATCH when the content differs from the announcement, and the upload is removed then.
 */
export const verifyUpload = async (
  store: MediaStore,
  facts: UploadFacts,
  sizeOfPart: (part: number) => number,
): Promise<void> => {
  const { mediaId, upload, size, sha256, partBytes } = facts
  const { type } = currentDescription(facts)
  const key = uploadContent(mediaId)
  const removeUpload = () => store.remove([key, uploadFacts(mediaId)])
  const parts = upload === undefined ? undefined : await store.parts(key, upload)
  if (upload !== undefined && parts !== undefined) {
    const expected = Math.ceil(size / partBytes)
    const complete = parts.filter(({ part, size }) => part <= expected && size === sizeOfPart(part))
    if (complete.length < parts.length) {
      await store.abandonUpload(key, upload)
      await removeUpload()
      throw mismatch(
        '/size',
        'size: differs from the announced size. The upload was removed. Start a new one.',
      )
    }
    if (complete.length < expected)
      throw new ConfabError(
        'MEDIA_INCOMPLETE',
        `${expected - complete.length} of ${expected} parts are missing.`,
      )
    await store.finishUpload(key, upload)
  } else if ((await store.head(key)) === undefined) throw noMedia('/mediaId')

  const found = await readContent(store, key)
  const problem =
    found.size !== size
      ? mismatch('/size', 'size: differs from the announced size. The upload was removed. Start a new one.')
      : found.sha256 !== sha256
        ? mismatch(
            '/sha256',
            'sha256: differs from the hash of the upload. The upload was removed. Start a new one.',
          )
        : (await mayHaveType(type, found.start))
          ? undefined
          : mismatch(
              '/type',
              'type: the content is of another type. The upload was removed. Start a new one.',
            )
  if (problem !== undefined) {
    await removeUpload()
    throw problem
  }
  await writeJson(store, uploadFacts(mediaId), { ...facts, verified: true })
}
