import { createHash, timingSafeEqual } from 'node:crypto'
import type { StreamConfig } from '@nats-io/jetstream'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { BackupError, BackupProblem } from '../../../base/backup-error.ts'
import { CodedError } from '../../../base/coded-error.ts'
import type { BackupKey } from './backup-key.ts'

/** The version of the format that this confab writes, and the newest that it reads. */
export const manifestVersion = 1
export { manifestFile } from '../../../base/backup-files.ts'

const count = Type.Integer({ minimum: 0 })
const hexadecimal = /^[0-9a-f]{64}$/
const sha256 = Type.String({ pattern: hexadecimal.source })

const BackedUpStream = Type.Object({
  stream: Type.String({ pattern: '^[^\\s.*>/\\\\]{1,255}$' }),
  /** State of the stream at the start of its snapshot. */
  first: count,
  last: count,
  messages: count,
  bytes: count,
  /** State after the snapshot. The snapshot may have messages up to this `last`. */
  after: Type.Object({ first: count, last: count, messages: count }),
  /** Of the messages from `first` to `last`. Not given: messages were removed during the backup. */
  sha256: Type.Optional(sha256),
  /** Coverage of `sha256`. */
  extent: Type.Union([Type.Literal('all'), Type.Literal('samples')]),
  createdAt: Type.String(),
  /** The file of the snapshot in the folder of the backup. */
  file: Type.String({ pattern: '^[^/\\\\]+$' }),
  fileSize: count,
  fileSha256: sha256,
  config: Type.Object({ name: Type.String() }, { additionalProperties: true }),
})

const Manifest = Type.Object({
  format: Type.Literal('confab-backup'),
  version: Type.Literal(manifestVersion),
  id: Type.String(),
  /** Versions of confab and of nats-server. */
  confab: Type.String(),
  server: Type.String(),
  startedAt: Type.String(),
  finishedAt: Type.String(),
  /** The backup whose files were used again for streams that had not changed. */
  previous: Type.Optional(Type.String()),
  /** Fingerprint of the key; not given: the files are not encrypted. */
  key: Type.Optional(Type.String()),
  /** An operator has chosen the streams. */
  partial: Type.Optional(Type.Literal(true)),
  /** When all streams were restored as copies and compared. */
  verifiedAt: Type.Optional(Type.String()),
  streams: Type.Array(BackedUpStream),
})
const check = TypeCompiler.Compile(Manifest)

/** A stream in a backup. */
export type BackedUpStream = Omit<Static<typeof BackedUpStream>, 'config'> & { readonly config: StreamConfig }
/** The content of `manifest.json`. The file is written last: a backup without it is unfinished. */
export type Manifest = Omit<Static<typeof Manifest>, 'streams'> & {
  readonly streams: readonly BackedUpStream[]
}

/** Returns the code of a manifest: a MAC with a key, else a plain checksum. */
const codeOf = (text: string, key: BackupKey | undefined): string =>
  key === undefined ? createHash('sha256').update(text).digest('hex') : key.authenticate(text)

/** Returns a manifest as the content of its file. `code` is its last property. */
export const writeManifest = (manifest: Manifest, key: BackupKey | undefined): string => {
  const code = codeOf(JSON.stringify(manifest), key)
  return `${JSON.stringify({ ...manifest, code }, undefined, 2)}\n`
}

/** Thrown for a key that cannot be used, or is not the one of the backup. */
export class WrongKeyError extends CodedError<'BAD_OPTION'> {
  constructor(message: string) {
    super('BAD_OPTION', `--key: ${message}`)
  }
}

const damagedManifest = (where: string, why: string): BackupError =>
  new BackupError(BackupProblem.damaged, `${where} ${why}`)
const changedManifest = (where: string): BackupError =>
  damagedManifest(where, 'was changed after the backup: restore another backup')

/**
 * Returns the manifest in a file and its code, which is not checked: that may need the key. Throws BackupError. `where`
 * is the name of the file.
 */
export const parseManifest = (content: Uint8Array, where: string): { manifest: Manifest; code: string } => {
  const damaged = (why: string): BackupError => damagedManifest(where, why)
  const changed = changedManifest(where)
  const text = Buffer.from(content).toString('utf8')
  let found: Record<string, unknown>
  try {
    found = JSON.parse(text)
  } catch {
    throw damaged('is cut off or changed: it is no JSON: restore another backup')
  }
  if (typeof found !== 'object' || found?.format !== 'confab-backup')
    throw damaged('is not the manifest of a confab backup: name the folder that "confab backup" wrote to')
  if (typeof found.version === 'number' && found.version > manifestVersion)
    throw damaged(
      `has version ${found.version} of the format, and this confab reads up to ${manifestVersion}: restore with the confab that made the backup (${found.confab})`,
    )
  const { code, ...manifest } = found
  // The exact form is compared, so that a change between the values is found, too.
  if (typeof code !== 'string' || `${JSON.stringify(found, undefined, 2)}\n` !== text) throw changed
  if (!check.Check(manifest)) throw changed
  return { manifest: manifest as unknown as Manifest, code }
}

/** Returns the manifest in a file. Throws BackupError and WrongKeyError. `where` is the name of the file. */
export const readManifest = (content: Uint8Array, where: string, key: BackupKey | undefined): Manifest => {
  const { manifest, code } = parseManifest(content, where)
  if (manifest.key !== key?.fingerprint)
    throw new WrongKeyError(
      manifest.key === undefined
        ? `the backup ${manifest.id} is not encrypted: leave --key out`
        : `the backup ${manifest.id} is encrypted with ${key === undefined ? 'a key' : 'another key'}: name its file with --key`,
    )
  const expected = codeOf(JSON.stringify(manifest), key)
  if (!hexadecimal.test(code) || !timingSafeEqual(Buffer.from(code), Buffer.from(expected)))
    throw changedManifest(where)
  return manifest
}
