const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Encoding of logs from before UTF-8. */
const latin1 = new TextDecoder('windows-1252')

const byteOrderMark = '\ufeff'

/**
 * Returns the text of a log without its byte order mark. UTF-16 needs the mark; a line that is not UTF-8 is read as
 * Windows-1252.
 */
export const decodeLog = (bytes: Buffer): string => {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return decodeUtf16(bytes)
  if (bytes[0] === 0xfe && bytes[1] === 0xff)
    return decodeUtf16(Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16(), bytes.length % 2 === 1)
  const text = decodeUtf8(bytes)
  return text.startsWith(byteOrderMark) ? text.slice(1) : text
}

/** A cut character at the end becomes half of a surrogate pair, for which the import reports the line. */
const decodeUtf16 = (bytes: Buffer, isCut = bytes.length % 2 === 1): string =>
  bytes.toString('utf16le', 2) + (isCut ? '\ud800' : '')

const decodeUtf8 = (bytes: Buffer): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    // Decode line by line: a line in another encoding must not change the others.
    return bytes
      .toString('latin1')
      .split(/(?<=[\r\n])/)
      .map(line => {
        const row = Buffer.from(line, 'latin1')
        try {
          return utf8.decode(row)
        } catch {
          return latin1.decode(row)
        }
      })
      .join('')
  }
}

/** A file that went through a program for text files twice has `\r\r\n`. */
const lineEnd = /\r{0,2}\n|\r/

/** Returns the lines of a log without their ends: `\n`, `\r\n` or `\r`. The last line may have no end. */
export const linesOf = (text: string): string[] => {
  const lines = text.split(lineEnd)
  if (lines.at(-1) === '') lines.pop()
  return lines
}

/**
 * Codes of IRC clients for bold, italic, underlined, struck, reversed and fixed-width text, for plain text, and for
 * colours: `\x03` with up to two numbers, `\x04` with up to two hexadecimal colours.
 */
const formatting = new RegExp(
  [
    '\\x03(?:\\d{1,2}(?:,\\d{1,2})?)?',
    '\\x04(?:[0-9a-f]{6}(?:,[0-9a-f]{6})?)?',
    '[\\x02\\x0f\\x11\\x16\\x1d-\\x1f]',
  ].join('|'),
  'gi',
)

/** Returns a line without formatting codes. */
export const withoutFormatting = (line: string): string => line.replaceAll(formatting, '')
