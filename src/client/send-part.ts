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
