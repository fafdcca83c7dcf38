import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfabError } from '../../events/index.ts'
import type { DownloadAs } from '../../media/index.ts'

/** What a URL lets its holder do. */
export type Transfer =
  | { readonly op: 'put'; readonly upload: string; readonly part: number; readonly size: number }
  | ({ readonly op: 'get'; readonly key: string } & DownloadAs)

const path = '/v1/media/transfer'

/** The key that URLs are signed with: made once, kept in the folder, the same for all processes on it. */
export const signingKey = async (folder: string): Promise<Buffer> => {
  const file = join(folder, 'key')
  const made = join(folder, `key.${randomBytes(8).toString('hex')}`)
  await mkdir(folder, { recursive: true })
  await writeFile(made, randomBytes(32), { mode: 0o600 })
  try {
    // A link is made whole or not at all: of two processes that start at once, both read the same.
    await link(made, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(made, { force: true })
  }
  return await readFile(file)
}

/** URLs of this server that are good for one thing, for a time. */
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

  /** Throws ConfabError URL_EXPIRED: forged, for something else, or too old. */
  verify<T extends Transfer['op']>(op: T, query: URLSearchParams): Extract<Transfer, { op: T }> {
    const grant = query.get('grant') ?? ''
    const given = Buffer.from(query.get('sig') ?? '', 'base64url')
    const mac = this.#mac(grant)
    if (given.length !== mac.length || !timingSafeEqual(given, mac))
      throw new ConfabError('URL_EXPIRED', 'This URL is not one of ours.')
    // Ours, so that it is what was signed.
    const transfer = JSON.parse(Buffer.from(grant, 'base64url').toString()) as Transfer & { until: number }
    if (transfer.op !== op) throw new ConfabError('URL_EXPIRED', 'This URL is good for something else.')
    if (transfer.until < this.#now()) throw new ConfabError('URL_EXPIRED', 'This URL is too old.')
    return transfer as unknown as Extract<Transfer, { op: T }>
  }

  #mac(grant: string): Buffer {
    return createHmac('sha256', this.#key).update(grant).digest()
  }
}
