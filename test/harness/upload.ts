import { createHash } from 'node:crypto'
import type { Attachment } from '../../src/events/index.ts'
import type { TestConfab } from './confab.ts'

export interface UploadAnswer {
  mediaId: string
  parts: { url: string; method: string; headers: Record<string, string>; range: [number, number] }[]
  missing: number
  verified: boolean
  complete: string
}

type Fields = Record<string, unknown>

/** A PNG of one pixel followed by any bytes: the type is determined by the first bytes. */
export const png = (more = ''): Buffer =>
  Buffer.concat([
    Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64',
    ),
    Buffer.from(more),
  ])

/** Returns the description of some bytes for an announcement. */
export const described = (
  bytes: Uint8Array,
  { name = 'a.png', type = 'image/png' }: { name?: string; type?: string } = {},
): Omit<Attachment, 'mediaId'> => ({
  name,
  type,
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
})

/** Returns a function for HTTP requests as one user. */
export const httpOf = (confab: Pick<TestConfab, 'url' | 'token'>, user: string) => {
  const call = async (path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${await confab.token(user)}`, ...init.headers }
    const answer = await fetch(new URL(path, confab.url), { redirect: 'manual', ...init, headers })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') ?? false
    return {
      status: answer.status,
      headers: answer.headers,
      body: (isJson ? JSON.parse(text) : text) as Fields,
    }
  }
  return {
    call,
    request: async (t: string, fields: Fields) => {
      const { body } = await call('/v1/commands', {
        method: 'POST',
        body: JSON.stringify({ id: '1', t, ...fields }),
      })
      return body as Fields & { ok: boolean; error?: { code: string; field?: string } }
    },
    complete: (mediaId: string) => call(`/v1/media/${mediaId}/complete`, { method: 'POST' }),
  }
}

/** Sends the parts that an answer asks for. Returns the statuses. */
export const putParts = async (
  confab: Pick<TestConfab, 'url'>,
  answer: UploadAnswer,
  bytes: Uint8Array,
): Promise<number[]> => {
  const statuses: number[] = []
  for (const { url, method, headers, range } of answer.parts) {
    const body = bytes.slice(...range) as Uint8Array<ArrayBuffer>
    // A refusing server may close before it has read everything.
    const sent = fetch(new URL(url, confab.url), { method, headers, body })
    statuses.push(await sent.then(({ status }) => status).catch(() => 0))
  }
  return statuses
}

/** Uploads and completes; returns the attachment. */
export const upload = async (
  confab: Pick<TestConfab, 'url' | 'token'>,
  user: string,
  bytes: Uint8Array,
  about: { name?: string; type?: string } = {},
): Promise<Attachment> => {
  const http = httpOf(confab, user)
  const fields = described(bytes, about)
  let answer = (await http.request('media', fields)) as unknown as UploadAnswer & { ok: boolean }
  if (!answer.ok) throw new Error(JSON.stringify(answer))
  const { mediaId } = answer
  while (answer.missing > 0) {
    await putParts(confab, answer, bytes)
    answer = (await http.request('media', { ...fields, mediaId })) as unknown as UploadAnswer & {
      ok: boolean
    }
  }
  const done = await http.complete(mediaId)
  if (done.status !== 200) throw new Error(JSON.stringify(done.body))
  return { mediaId, ...fields }
}
