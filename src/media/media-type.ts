/** Bytes at the start of a file from which its type is detected. */
export const sniffBytes = 512

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to))

const startsWith =
  (...prefixes: string[]) =>
  (bytes: Uint8Array): boolean =>
    prefixes.some(prefix => ascii(bytes, 0, prefix.length) === prefix)

const riff = (form: string) => (bytes: Uint8Array) =>
  ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === form

/** ISO base media files list their brands in a first box `ftyp`. */
const isoMedia = (bytes: Uint8Array): boolean => ascii(bytes, 4, 8) === 'ftyp'

const brands = (...names: string[]) => {
  return (bytes: Uint8Array): boolean => {
    if (!isoMedia(bytes)) return false
    const length = Math.min(bytes.length, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))
    for (let at = 8; at + 4 <= length; at += 4)
      if (at !== 12 && names.includes(ascii(bytes, at, at + 4))) return true
    return false
  }
}

/** MPEG audio starts with the sync bits of a frame, or with an ID3 tag. */
const isMp3 = (bytes: Uint8Array): boolean =>
  startsWith('ID3')(bytes) || (bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe6) === 0xe2)

const ogg = startsWith('OggS')
const matroska = startsWith('\x1aE\xdf\xa3')
const zip = startsWith('PK\x03\x04', 'PK\x05\x06')
const oldOffice = startsWith('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1')

/**
 * Well-known types and the bytes that their files start with, from WHATWG MIME Sniffing and the format
 * specifications. The first match names the type.
 */
const signatures: readonly (readonly [types: string, matches: (bytes: Uint8Array) => boolean])[] = [
  ['image/png image/apng', startsWith('\x89PNG\r\n\x1a\n')],
  ['image/jpeg', startsWith('\xff\xd8\xff')],
  ['image/gif', startsWith('GIF87a', 'GIF89a')],
  ['image/webp', riff('WEBP')],
  ['image/avif', brands('avif', 'avis')],
  ['image/heic image/heif', brands('heic', 'heix', 'hevc', 'heim', 'heis', 'mif1', 'msf1')],
  ['image/tiff', startsWith('II*\0', 'MM\0*')],
  ['application/pdf', startsWith('%PDF-')],
  ['audio/wav audio/x-wav audio/wave audio/vnd.wave', riff('WAVE')],
  ['audio/flac audio/x-flac', startsWith('fLaC')],
  ['audio/ogg video/ogg application/ogg audio/opus', ogg],
  ['video/webm audio/webm video/x-matroska audio/x-matroska', matroska],
  ['video/mp4 audio/mp4 audio/x-m4a audio/m4a video/quicktime video/3gpp audio/3gpp', isoMedia],
  ['application/gzip application/x-gzip', startsWith('\x1f\x8b')],
  ['application/x-7z-compressed', startsWith("7z\xbc\xaf'\x1c")],
  ['audio/mpeg audio/mp3', isMp3],
  [
    'application/zip application/x-zip-compressed application/epub+zip application/java-archive application/vnd.android.package-archive',
    zip,
  ],
  ['application/msword application/vnd.ms-excel application/vnd.ms-powerpoint', oldOffice],
]

const zipBased = /^application\/(vnd\.(openxmlformats-officedocument|oasis\.opendocument)\.|.*\+zip$|x-zip)/

const known = new Map<string, (bytes: Uint8Array) => boolean>(
  signatures.flatMap(([types, matches]) => types.split(' ').map(type => [type, matches] as const)),
)

/** Returns the types whose signature a file starts with. */
const typesOf = (bytes: Uint8Array): readonly string[] | undefined =>
  signatures.find(([, matches]) => matches(bytes))?.[0].split(' ')

/**
 * Whether the first bytes of a file contradict its declared type. They contradict a well-known type when the
 * signature differs, and any other type when they are the signature of a well-known one. `application/octet-stream`
 * is never contradicted.
 */
export const contradicts = (type: string, bytes: Uint8Array): boolean => {
  if (type === 'application/octet-stream') return false
  const matches = known.get(type) ?? (zipBased.test(type) ? zip : undefined)
  if (matches !== undefined) return !matches(bytes)
  return typesOf(bytes) !== undefined
}

const displayable = /^(image\/(png|apng|jpeg|gif|webp|avif)|audio\/|video\/)/

/** Whether a browser may display a file of this type in place. Types that can carry scripts are excluded. */
export const isShown = (type: string): boolean => displayable.test(type)

/** Whether a media type is valid: RFC 6838, 4.2, in lower case, without parameters. */
export const isMediaType = (type: string): boolean =>
  /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/.test(type)

/**
 * Whether a name is a plain file name: no folders, and no invisible characters (controls, line breaks, characters
 * that change the writing direction and make `gpj.exe` look like `exe.jpg`).
 */
export const isFileName = (name: string): boolean =>
  name.trim() !== '' &&
  name !== '.' &&
  name !== '..' &&
  name.isWellFormed() &&
  !/[/\\\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(name)

/**
 * Returns the Content-Disposition header of a download (RFC 6266): the name encoded by RFC 8187, and an ASCII name
 * for older clients.
 */
export const contentDisposition = ({ name, inline }: { name: string; inline: boolean }): string => {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${inline ? 'inline' : 'attachment'}; filename="${plain}"; filename*=UTF-8''${encoded}`
}
