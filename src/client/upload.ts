import type { AnswerOf, Attachment, RequestOf } from '../events/index.ts'
import { backoff } from './backoff.ts'
import type { Http } from './http.ts'
import { RequestError } from './request-error.ts'
import { Sha256 } from './sha256.ts'

/** The target of a part. */
export interface PartTarget {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
}

export type SendPart = (
  target: PartTarget,
  body: Blob,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
) => Promise<boolean>

/** Sends the bytes of a part. Resolves with whether the server accepted them; rejects when aborted. */
export const sendPart: SendPart = (target, body, onSent, signal) =>
  typeof XMLHttpRequest === 'undefined'
    ? byFetch(target, body, onSent, signal)
    : byXhr(target, body, onSent, signal)

const byFetch: SendPart = async ({ url, method, headers }, body, onSent, signal) => {
  try {
    const { ok } = await fetch(url, { method, headers: { ...headers }, body, signal })
    if (ok) onSent(body.size)
    return ok
  } catch (error) {
    if (signal.aborted) throw error
    return false
  }
}

/** Only XMLHttpRequest reports upload progress in browsers. */
const byXhr: SendPart = ({ url, method, headers }, body, onSent, signal) =>
  new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    const abort = () => xhr.abort()
    const end = (settle: () => void) => () => {
      signal.removeEventListener('abort', abort)
      settle()
    }
    xhr.upload.onprogress = ({ loaded }) => onSent(Math.min(loaded, body.size))
    xhr.onload = end(() => resolve(xhr.status >= 200 && xhr.status < 300))
    xhr.onerror = end(() => resolve(false))
    xhr.onabort = end(() => reject(signal.reason ?? new DOMException('aborted', 'AbortError')))
    xhr.open(method, url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    signal.addEventListener('abort', abort)
    xhr.send(body)
    if (signal.aborted) abort()
  })

export interface UploadProgress {
  /** `hashing` reads the file, `sending` transfers its parts, `verifying` waits for the server. */
  readonly phase: 'hashing' | 'sending' | 'verifying'
  /** Bytes, of `total`. */
  readonly done: number
  readonly total: number
}

export interface UploadOptions {
  /** A conversation that may have this content already: then no bytes are sent. */
  readonly c?: string
  /** Default: the file's own. */
  readonly name?: string
  /** Default: the file's own, else application/octet-stream. */
  readonly type?: string
  /** Continues an earlier upload of the same file, from this or another client. */
  readonly mediaId?: string
  /** Called when the upload has an id, for continuing later. */
  readonly onBegun?: (mediaId: string) => void
  readonly onProgress?: (progress: UploadProgress) => void
  readonly signal?: AbortSignal
}

export interface Uploader {
  readonly http: Http
  announce(fields: Omit<RequestOf['media'], 'id' | 't'>): Promise<AnswerOf['media']>
  readonly sendPart?: SendPart
}

const hashedBytes = 4 * 1024 ** 2
/** Files up to this size are read whole and hashed by the platform: about 20 times as fast as in script. */
const hashedAtOnce = 64 * 1024 ** 2
/** Parts in flight. */
const atOnce = 3
/** Consecutive rounds without an accepted part before the upload fails. */
const fruitless = 6
const retryMs = 500
const longestRetryMs = 10_000

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort, { once: true })
  })

/** Returns a media type as the protocol writes it: lower case, no parameters. */
const plainType = (type: string): string =>
  type.split(';')[0]!.trim().toLowerCase() || 'application/octet-stream'

/**
 * Uploads a file and verifies it; returns an attachment for a message. Failed parts are repeated with fresh URLs.
 * Rejects with RequestError, or with the signal's reason when aborted; the server keeps accepted parts for a while.
 */
export const uploadFile = async (
  file: Blob & { readonly name?: string },
  { http, announce, sendPart: send = sendPart }: Uploader,
  options: UploadOptions = {},
): Promise<Attachment> => {
  const { c, onBegun, onProgress = () => {}, signal = new AbortController().signal } = options
  const total = file.size
  const sha256 = await hash(file, signal, done => onProgress({ phase: 'hashing', done, total }))
  const about = {
    // Pasted files may have an empty name.
    name: options.name ?? (file.name || 'file'),
    type: plainType(options.type ?? file.type),
    size: total,
    sha256,
  }
  let state = await announce({
    ...about,
    ...(c === undefined ? {} : { c }),
    ...(options.mediaId === undefined ? {} : { mediaId: options.mediaId }),
  })
  // A server of an earlier version does not return them.
  const { mediaId, name = about.name, type = about.type } = state
  onBegun?.(mediaId)

  for (let failed = 0; state.missing > 0; ) {
    signal.throwIfAborted()
    const sent = await sendParts(file, state, http, send, signal, done =>
      onProgress({ phase: 'sending', done, total }),
    )
    failed = sent > 0 ? 0 : failed + 1
    if (failed === fruitless)
      throw new RequestError({
        code: 'UNAVAILABLE',
        message: 'The file could not be uploaded.',
        retryable: true,
      })
    if (failed > 0) await wait(backoff(failed, retryMs, longestRetryMs), signal)
    state = await announce({ ...about, mediaId })
  }
  onProgress({ phase: 'verifying', done: total, total })
  if (!state.verified) await complete(http, state.complete, signal)
  return { ...about, mediaId, name, type }
}

/** Sends the parts that an answer asks for, a few at a time. Returns how many were accepted. */
const sendParts = async (
  file: Blob,
  { parts, missing }: AnswerOf['media'],
  http: Http,
  send: SendPart,
  signal: AbortSignal,
  onDone: (bytes: number) => void,
): Promise<number> => {
  const [first] = parts
  const partBytes = first === undefined ? 0 : first.range[1] - first.range[0]
  // An estimate when there are more parts than the answer lists; within one answer it only grows.
  const before = Math.max(0, file.size - missing * partBytes)
  const onTheirWay = new Map<number, number>()
  const queue = [...parts]
  let taken = 0
  const work = async (): Promise<void> => {
    for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
      const [from, to] = part.range
      const target = { ...part, url: http.resolve(part.url) }
      const tell = (bytes: number): void => {
        onTheirWay.set(from, bytes)
        onDone(Math.min(file.size, before + [...onTheirWay.values()].reduce((sum, each) => sum + each, 0)))
      }
      if (await send(target, file.slice(from, to), tell, signal)) taken++
      else onTheirWay.delete(from)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return taken
}

/** Waits until the server has verified the upload. */
const complete = async (http: Http, path: string, signal: AbortSignal): Promise<void> => {
  for (let failed = 0; ; ) {
    try {
      const { status } = await http.json('POST', path, signal)
      if (status === 200) return
      await wait(retryMs, signal)
    } catch (error) {
      if (!RequestError.is(error) || !error.retryable || ++failed === fruitless) throw error
      await wait(backoff(failed, retryMs, longestRetryMs), signal)
    }
  }
}

const hash = async (file: Blob, signal: AbortSignal, onDone: (bytes: number) => void): Promise<string> => {
  // Undefined on an insecure origin.
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle
  if (file.size <= hashedAtOnce && subtle !== undefined) {
    const digest = await subtle.digest('SHA-256', await file.arrayBuffer())
    signal.throwIfAborted()
    onDone(file.size)
    return Array.from(new Uint8Array(digest), byte => byte.toString(16).padStart(2, '0')).join('')
  }
  const sha = new Sha256()
  for (let at = 0; at < file.size; at += hashedBytes) {
    signal.throwIfAborted()
    sha.update(new Uint8Array(await file.slice(at, at + hashedBytes).arrayBuffer()))
    onDone(Math.min(file.size, at + hashedBytes))
  }
  return sha.digest()
}
