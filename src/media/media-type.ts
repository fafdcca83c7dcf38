import { fileTypeFromBuffer } from 'file-type'

/** Bytes at the start of a file from which its type is detected. */
export const sniffBytes = 4_100

/** The type of a file whose type is unknown. Browsers neither show nor execute it. */
export const unknownType = 'application/octet-stream'

/**
 * The types that browsers show in place, with other names that devices give them. Types that can contain scripts are
 * not among them.
 */
const shownTypes: Readonly<Record<string, string>> = {
  'image/png': 'image/x-png',
  'image/apng': 'image/x-apng image/vnd.mozilla.apng',
  'image/jpeg': 'image/jpg image/jpe image/jfif image/pjpeg image/pjp image/x-jpeg image/x-jpg',
  'image/gif': 'image/x-gif',
  'image/webp': 'image/x-webp',
  'image/avif': 'image/x-avif image/avif-sequence',
  'audio/mpeg':
    'audio/mp3 audio/x-mp3 audio/mpeg3 audio/x-mpeg3 audio/x-mpeg-3 audio/x-mpeg audio/mpg audio/x-mpg',
  'audio/mp4': 'audio/m4a audio/x-m4a audio/m4b audio/x-m4b audio/x-mp4',
  'audio/aac': 'audio/x-aac audio/aacp audio/x-hx-aac-adts audio/vnd.dlna.adts',
  'audio/ogg': 'audio/x-ogg audio/oga audio/vorbis audio/x-vorbis audio/x-vorbis+ogg',
  'audio/opus': 'audio/x-opus audio/x-opus+ogg',
  'audio/wav': 'audio/x-wav audio/wave audio/x-wave audio/x-pn-wav audio/vnd.wave',
  'audio/flac': 'audio/x-flac',
  'audio/webm': 'audio/x-webm',
  'video/mp4': 'video/m4v video/x-m4v video/x-mp4',
  'video/ogg': 'video/x-ogg video/ogv',
  'video/webm': 'video/x-webm',
  'video/quicktime': 'video/mov video/x-quicktime',
}

const properNames: ReadonlyMap<string, string> = new Map(
  Object.entries(shownTypes).flatMap(([type, names]) => names.split(' ').map(name => [name, type] as const)),
)

/** Whether a browser may show a file of this type in place. All other files are downloads. */
export const isShown = (type: string): boolean => Object.hasOwn(shownTypes, type)

/** RFC 6838, 4.2, in lower case. */
const mediaType = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/

/**
 * Returns a media type as it is stored and served, from a type that a device gives: in lower case, without parameters,
 * and under its proper name. Empty types and `image/*` become `application/octet-stream`. Undefined for texts that are
 * no media type.
 */
export const normalType = (given: string): string | undefined => {
  const type = given.split(';', 1)[0]!.trim().toLowerCase()
  if (type === '' || type.endsWith('/*')) return unknownType
  return mediaType.test(type) ? (properNames.get(type) ?? type) : undefined
}

const recording = /^((audio|video)\/|application\/ogg$)/

/** An ISO base media file (ISO/IEC 14496-12) that lists an AVIF brand, also behind the general brand of pictures. */
const avif = /^.{4}ftyp.{4}.{4}(.{4})*?avi[fs]/s

/**
 * The first bytes of UTF-16 texts, ZIP and gzip. The library would detect the texts as MP3, and it would unpack the
 * archives.
 */
const notShown = ['\xff\xfe', 'PK', '\x1f\x8b']

/** Detects the type of a file by its first bytes. */
const typeOf = async (start: Uint8Array): Promise<string> => {
  const text = Buffer.from(start.subarray(0, 64)).toString('latin1')
  if (notShown.some(prefix => text.startsWith(prefix))) return unknownType
  if (avif.test(text)) return 'image/avif'
  return normalType((await fileTypeFromBuffer(start))?.mime ?? '') ?? unknownType
}

/**
 * Whether a file may have its type, by its first bytes. A type that is shown needs proof: the content has to be a
 * picture for a picture, a recording for a recording, of any format that browsers show as such. All other types are
 * downloads and need none.
 */
export const mayHaveType = async (type: string, start: Uint8Array): Promise<boolean> => {
  if (!isShown(type)) return true
  const found = await typeOf(start)
  return type.startsWith('image/') ? isShown(found) && found.startsWith('image/') : recording.test(found)
}

/** Types that browsers execute, or show with scripts, whatever the header Content-Disposition says in some elements. */
const active = /^text\/(?:html|css|xml|xsl|vbscript)$|^application\/xml|^multipart\/|\+xml$/
/** Names of script types, by the part of the type before the slash. */
const script: Readonly<Record<string, RegExp>> = {
  text: /(?:java|ecma|j|live)script/,
  application: /(?:java|ecma)script/,
}

/** Returns the type under which a file is served. */
export const servedType = (type: string): string => {
  const [top = ''] = type.split('/', 1)
  const isScript = Object.hasOwn(script, top) && script[top]!.test(type)
  return isScript || active.test(type) ? unknownType : type
}
