import { isId } from './ids.ts'

/** Marks the user id of a claim that is not a valid id itself. */
const mark = '--'
const plainByte = /[A-Za-z0-9_]/
const escapedForm = /^--(?:[A-Za-z0-9_]|-[0-9a-f]{2})+$/

const escapeByte = (byte: number): string => {
  const char = String.fromCharCode(byte)
  return plainByte.test(char) ? char : `-${byte.toString(16).padStart(2, '0')}`
}

const escaped = (claim: string): string | undefined => {
  if (claim === '' || !claim.isWellFormed()) return undefined
  const id = mark + Array.from(new TextEncoder().encode(claim), escapeByte).join('')
  return isId(id) ? id : undefined
}

/** Returns the claim that a user id was made from: `--auth0-7cx` is from `auth0|x`, and `alice` from `alice`. */
export const claimOfUserId = (user: string): string => {
  if (!escapedForm.test(user)) return user
  const bytes = Array.from(user.slice(mark.length).matchAll(/-(..)|(.)/g), ([, hex, char]) =>
    hex === undefined ? (char ?? '').charCodeAt(0) : Number.parseInt(hex, 16),
  )
  const claim = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))
  return !isId(claim) && escaped(claim) === user ? claim : user
}

/**
 * Returns the user id of a claim that names a user. A valid id stays as it is. Any other text is escaped: `--`, then
 * its UTF-8 bytes, each as `A-Z a-z 0-9 _` or as `-` and two hexadecimal digits. No two claims have the same user id,
 * and `claimOfUserId` returns the claim.
 *
 * Undefined: the claim is empty, is no well-formed Unicode, is longer than 64 characters when escaped, or is a valid id
 * that equals the escaped form of another claim.
 */
export const userIdOfClaim = (claim: string): string | undefined => {
  if (!isId(claim)) return escaped(claim)
  return claimOfUserId(claim) === claim ? claim : undefined
}
