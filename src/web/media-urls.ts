import type { ConfabClient } from '../client/index.ts'

/** Maximum number of cached URLs. */
const limit = 1_000

/** URLs of attachments. A URL is reused for most of its life, so the browser can cache the file. */
export class MediaUrls {
  readonly #client: ConfabClient
  readonly #known = new Map<string, { readonly url: string; readonly until: number }>()

  constructor(client: ConfabClient) {
    this.#client = client
  }

  /** Rejects with RequestError. */
  async of(c: string, mediaId: string): Promise<string> {
    const key = `${c} ${mediaId}`
    const known = this.#known.get(key)
    if (known !== undefined && known.until > Date.now()) return known.url
    const { url, lifeMs } = await this.#client.mediaUrl(c, mediaId)
    if (this.#known.size >= limit) this.#known.clear()
    this.#known.set(key, { url, until: Date.now() + lifeMs * 0.8 })
    return url
  }
}
