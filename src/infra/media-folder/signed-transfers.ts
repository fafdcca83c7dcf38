import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfabError } from '../../events/index.ts'
import type { DownloadAs } from '../../media/index.ts'

/** The operation that a signed URL allows. */
export type Transfer =
  | { readonly op: 'put'; readonly upload: string; readonly part: number; readonly size: number }
  | ({ readonly op: 'get'; readonly key: string } & DownloadAs)

const path = '/v1/media/transfer'

/** Returns the key that signs URLs: created once, stored in the folder, shared by all its processes. */
export const signingKey = async (folder: string): Promise<Buffer> => {
  const file = join(folder, 'key')
  const made = join(folder, `key.${randomBytes(8).toString('hex')}`)
  await mkdir(folder, { recursive: true })
  await writeFile(made, randomBytes(32), { mode: 0o600 })
  try {
    // A link is atomic: two processes that start at the same time read the same key.
    await link(made, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(made, { force: true })
  }
  return await readFile(file)
}

/** Signs and verifies URLs of this server for one operation and a limited time. */
export class SignedTransfers {
  readonly #key: Buffer
  readonly #now: () => number

  constructor(key: Buffer, now: () => number = Date.now) {
    this.#key = key
    this.#now = now
  }

  sign(transfer: Transfer, lifeMs: number): string {
    const grant = Buffer.from(JSON.stringify({ ...transfer, until: this.#now() + lifeMs })).toString(
      'base64url',
    )
    return `${path}?grant=${grant}&sig=${this.#mac(grant).toString('base64url')}`
  }

  /** Throws ConfabError URL_EXPIRED for a forged URL, another operation, or an expired one. */
  verify<T extends Transfer['op']>(op: T, query: URLSearchParams): Extract<Transfer, { op: T }> {
    const grant = query.get('grant') ?? ''
    const given = Buffer.from(query.get('sig') ?? '', 'base64url')
    const mac = this.#mac(grant)
    if (given.length !== mac.length || !timingSafeEqual(given, mac))
      throw new ConfabError('URL_EXPIRED', 'This URL was not signed by this server.')
    // The signature was verified, so this is the signed content.
    const transfer = JSON.parse(Buffer.from(grant, 'base64url').toString()) as Transfer & { until: number }
    if (transfer.op !== op) throw new ConfabError('URL_EXPIRED', 'This URL is for another operation.')
    if (transfer.until < this.#now())
      throw new ConfabError('URL_EXPIRED', 'This URL has expired. Request a new one.')
    return transfer as unknown as Extract<Transfer, { op: T }>
  }

  #mac(grant: string): Buffer {
    return createHmac('sha256', this.#key).update(grant).digest()
  }
}
