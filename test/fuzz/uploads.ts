import fc from 'fast-check'
import type { HttpRequest } from './http-requests.ts'
import { commonConversations, Earlier, files, imageFile } from './vocabulary.ts'

const request = (given: Partial<HttpRequest> & Pick<HttpRequest, 'method' | 'path'>): HttpRequest => ({
  token: 'own',
  headers: [],
  body: undefined,
  framing: 'length',
  type: undefined,
  ...given,
})

const command = (fields: Record<string, unknown>): HttpRequest =>
  request({
    method: 'POST',
    path: '/v1/commands',
    body: { json: { fields, changes: [] } },
    type: String(fields.t),
  })

const rarely = <T>(given: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: given })

/**
 * The requests of a whole upload, in order: announcement, bytes, end, a message with the file, and reads of the file.
 * Chance alone hardly ever sends them in this order. Some uploads repeat a request, leave one out or send another file.
 */
export const uploads: fc.Arbitrary<readonly HttpRequest[]> = fc
  .record({
    file: fc.nat({ max: files.length - 1 }),
    sent: rarely(fc.nat({ max: files.length - 1 })),
    c: fc.constantFrom(...commonConversations),
    m: fc.nat({ max: 1_000_000 }).map(n => `file-${n}`),
    isImage: rarely(fc.boolean()),
    framing: rarely(fc.constantFrom<HttpRequest['framing'][]>('chunks', 'short')),
    range: fc.option(fc.constantFrom('bytes=0-0', 'bytes=1-', 'bytes=-3', 'bytes=900-'), { nil: undefined }),
    repeated: rarely(fc.nat({ max: 6 })),
    omitted: rarely(fc.nat({ max: 6 })),
  })
  .map(({ file, sent, c, m, isImage, framing, range, repeated, omitted }) => {
    const { size, sha256 } = files[file]!
    const type = (isImage ?? file === imageFile) ? 'image/png' : 'text/plain'
    const about = { name: 'a', type, size, sha256 }
    const download = `/v1/conversations/${c}/media/${Earlier.mediaId}`
    const steps: readonly HttpRequest[] = [
      command({ t: 'media', c, ...about }),
      request({
        method: 'PUT',
        path: Earlier.upload,
        token: 'none',
        body: { file: sent ?? file },
        framing: framing ?? 'length',
      }),
      request({ method: 'POST', path: `/v1/media/${Earlier.mediaId}/complete` }),
      command({ t: 'send', c, m, text: 'a file', attachments: [{ mediaId: Earlier.mediaId, ...about }] }),
      request({ method: 'GET', path: `${download}?redirect=false` }),
      request({
        method: 'GET',
        path: Earlier.download,
        token: 'none',
        headers: range === undefined ? [] : [['Range', range]],
      }),
      request({ method: 'GET', path: `/v1/media/${Earlier.mediaId}` }),
    ]
    return steps.flatMap((step, i) => (i === omitted ? [] : i === repeated ? [step, step] : [step]))
  })
