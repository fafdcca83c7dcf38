import { randomBytes } from 'node:crypto'

/**
 * Where media and the facts about them are kept. An upload is `uploads/<mediaId>/…`: its facts, its content, and which messages it was to go with. What a conversation has is
 * `c/<conversation>/<sha256>/…`: the content, once, and a binding for each media id that was sent. The first characters of the last segment order them: content, then tombstones, then bindings.
 */
export const uploadFolder = (mediaId: string): string => `uploads/${mediaId}/`
export const uploadFacts = (mediaId: string): string => `uploads/${mediaId}/facts`
export const uploadContent = (mediaId: string): string => `uploads/${mediaId}/content`
export const uploadIntent = (mediaId: string, c: string, m: string): string =>
  `uploads/${mediaId}/sent/${c}/${m}`

export const contentFolder = (c: string, sha256: string): string => `c/${c}/${sha256}/`
export const contentOf = (c: string, sha256: string): string => `c/${c}/${sha256}/0`
export const bindingOf = (c: string, sha256: string, mediaId: string): string =>
  `c/${c}/${sha256}/2-${mediaId}`
export const isBinding = (key: string): boolean => /\/2-[^/]+$/.test(key)

/** Says that somebody is about to remove what is in the folder. */
export const tombstone = (folder: string): string => `${folder}1-${randomBytes(12).toString('hex')}`
export const isTombstone = (key: string): boolean => /\/1-[0-9a-f]{24}$/.test(key)

/** The media id and what of it an upload's key is for. */
export const partsOfUploadKey = (key: string): { mediaId: string; rest: string } | undefined => {
  const [, mediaId, rest] = /^uploads\/([^/]+)\/(.+)$/.exec(key) ?? []
  return mediaId === undefined || rest === undefined ? undefined : { mediaId, rest }
}

/** The conversation and message of an intent's `rest`. */
export const intentOf = (rest: string): { c: string; m: string } | undefined => {
  const [, c, m] = /^sent\/([^/]+)\/([^/]+)$/.exec(rest) ?? []
  return c === undefined || m === undefined ? undefined : { c, m }
}

const randomChars = 21

/** A media id: 43 characters of the content's hash, so that its place follows from it, and 21 that make it one of a kind. */
export const newMediaId = (sha256: string): string =>
  Buffer.from(sha256, 'hex').toString('base64url') +
  randomBytes(16).toString('base64url').slice(0, randomChars)

/** The hash in a media id; undefined when it is none of ours. */
export const hashOfMediaId = (mediaId: string): string | undefined => {
  if (!/^[A-Za-z0-9_-]{64}$/.test(mediaId)) return undefined
  const bytes = Buffer.from(mediaId.slice(0, -randomChars), 'base64url')
  return bytes.length === 32 ? bytes.toString('hex') : undefined
}
