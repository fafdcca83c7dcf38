import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { ReadableStream as WebStream } from 'node:stream/web'
import { bech32 } from '@scure/base'
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption'

/** The key of encrypted backups. The files have the format of age (age-encryption.org), for one X25519 recipient. */
export interface BackupKey {
  /** Names the key in manifests without revealing it. */
  readonly fingerprint: string
  encrypt(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
  /** Rejects when the key is not the one of the file, or when the file was changed. */
  decrypt(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
  /** Returns a code that only holders of the key can compute, hexadecimal. */
  authenticate(text: string): string
}

const keyLength = 32
const identityLine = /^AGE-SECRET-KEY-1[0-9A-Z]+$/m

/** Returns the content of a key file as an age identity; undefined when it has none of the forms. */
const identityOf = (content: Uint8Array): string | undefined => {
  if (content.length === keyLength) return bech32.encodeFromBytes('AGE-SECRET-KEY-', content).toUpperCase()
  const text = Buffer.from(content).toString('latin1').trim()
  if (/^[0-9a-f]{64}$/i.test(text)) return identityOf(Buffer.from(text, 'hex'))
  return identityLine.exec(text)?.[0]
}

/**
 * Returns the key in a key file: 32 random bytes, as they are or as 64 hexadecimal digits, or a file of `age-keygen`.
 * Resolves with undefined for any other content.
 */
export const parseBackupKey = async (content: Uint8Array): Promise<BackupKey | undefined> => {
  const identity = identityOf(content)
  if (identity === undefined) return undefined
  let recipient: string
  const decrypter = new Decrypter()
  try {
    recipient = await identityToRecipient(identity)
    decrypter.addIdentity(identity)
  } catch {
    return undefined
  }
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  const macKey = Buffer.from(hkdfSync('sha256', identity, '', 'confab backup manifest', keyLength))
  const through = async function* (
    convert: (stream: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> {
    yield* await convert(WebStream.from(chunks) as ReadableStream<Uint8Array>)
  }
  return {
    fingerprint: createHash('sha256').update(recipient).digest('hex').slice(0, 16),
    encrypt: chunks => through(stream => encrypter.encrypt(stream), chunks),
    decrypt: chunks => through(stream => decrypter.decrypt(stream), chunks),
    authenticate: text => createHmac('sha256', macKey).update(text).digest('hex'),
  }
}
