import { isBlank } from '../events/index.ts'

/** Characters in a name. A longer name is shortened. */
const nameChars = 255

/** The folder that browsers put before the name of a chosen file (HTML, 4.10.5.4). */
const fakePath = /^[a-z]:\\fakepath\\/i

/**
 * Folders, control characters and line breaks; and characters that override the writing direction, so that a name that
 * ends in `gpj.exe` looks as if it ended in `exe.jpg`.
 */
const deceiving = /[/\\\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u

/** Invisible characters, except those that change how the characters around them look. */
const invisible = /[[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]--[\u200c\u200d\p{Variation_Selector}]]/gv

const blankOrDot = /^[\s.]$/

/** Returns a name without blanks around it and dots after it. A pattern for its end would try every run of blanks. */
const trimmed = (name: string): string => {
  let end = name.length
  while (end > 0 && blankOrDot.test(name[end - 1]!)) end--
  return name.slice(0, end).trimStart()
}

/** Shortens a name, and keeps its ending. */
const shortened = (name: string): string => {
  if (name.length <= nameChars) return name
  const ending = /(?<=.)\.[^.]{1,15}$/u.exec(name)?.[0] ?? ''
  // The cut may be within a surrogate pair.
  const stem = name.slice(0, nameChars - ending.length).replace(/[\ud800-\udbff]$/, '')
  return trimmed(stem + ending)
}

/**
 * Returns the name of a file as it is stored and shown, from a name that a device gives: without invisible characters,
 * in NFC, without blanks around it and dots after it, and of at most 255 characters (UTF-16 code units). Undefined for
 * a name that can deceive or that shows nothing.
 */
export const normalName = (given: string): string | undefined => {
  const name = given.replace(fakePath, '')
  if (!name.isWellFormed() || deceiving.test(name)) return undefined
  const plain = shortened(trimmed(name.replace(invisible, '').normalize('NFC')))
  return isBlank(plain) ? undefined : plain
}

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
