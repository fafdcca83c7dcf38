/** Bytes at the start that tell the type. */
export const sniffBytes = 512

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to))

const startsWith =
  (...prefixes: string[]) =>
  (bytes: Uint8Array): boolean =>
    prefixes.some(prefix => ascii(bytes, 0, prefix.length) === prefix)

const riff = (form: string) => (bytes: Uint8Array) =>
  ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === form

/** ISO base media files say their brands in a first box `ftyp`. */
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

/** MPEG audio: a frame's sync bits, or a tag before it. */
const isMp3 = (bytes: Uint8Array): boolean =>
  startsWith('ID3')(bytes) || (bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe6) === 0xe2)

const ogg = startsWith('OggS')
const matroska = startsWith('\x1aE\xdf\xa3')
const zip = startsWith('PK\x03\x04', 'PK\x05\x06')
const oldOffice = startsWith('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1')

/**
 * Well-known types by what their files start with, from the WHATWG's MIME Sniffing and the formats' own papers. The
 * first that fits a file names it.
 */
const signatures: readonly (readonly [types: string, fits: (bytes: Uint8Array) => boolean])[] = [
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
  signatures.flatMap(([types, fits]) => types.split(' ').map(type => [type, fits] as const)),
)

/** The types of the signature that a file starts with. */
const typesOf = (bytes: Uint8Array): readonly string[] | undefined =>
  signatures.find(([, fits]) => fits(bytes))?.[0].split(' ')

/**
 * Whether the first bytes of a file contradict its declared type: it should start otherwise, or it starts as another
 * well-known type does. `application/octet-stream` claims nothing, so that nothing contradicts it; a type that is not
 * among the well-known ones is believed, as long as the bytes are none of those either.
 */
export const contradicts = (type: string, bytes: Uint8Array): boolean => {
  if (type === 'application/octet-stream') return false
  const fits = known.get(type) ?? (zipBased.test(type) ? zip : undefined)
  if (fits !== undefined) return !fits(bytes)
  return typesOf(bytes) !== undefined
}

const shown = /^(image\/(png|apng|jpeg|gif|webp|avif)|audio\/|video\/)/

/** Whether a browser may show a file of this type in place: nothing that can carry scripts. */
export const isShown = (type: string): boolean => shown.test(type)

/** RFC 6838, 4.2: type and subtype, in lower case, without parameters. */
export const isMediaType = (type: string): boolean =>
  /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/.test(type)

/**
 * A file's name, and nothing but: no folders, nothing invisible (controls, line breaks, characters that turn the
 * direction of writing and make `gpj.exe` look like `exe.jpg`).
 */
export const isFileName = (name: string): boolean =>
  name.trim() !== '' &&
  name !== '.' &&
  name !== '..' &&
  name.isWellFormed() &&
  !/[/\\\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(name)

/**
 * The header Content-Disposition of a download. RFC 6266, with the name as RFC 8187 writes it, and an ASCII one for
 * what does not know that.
 */
export const contentDisposition = ({ name, inline }: { name: string; inline: boolean }): string => {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    char => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${inline ? 'inline' : 'attachment'}; filename="${plain}"; filename*=UTF-8''${encoded}`
}
