import { createHash } from 'node:crypto'
import { isId, Limits } from '../../events/index.ts'

const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 10)

/** The text itself where it is an id; otherwise what is left of it and a hash, so that different texts stay different ids. */
const idOf = (text: string, longest: number): string => {
  if (isId(text) && text.length <= longest) return text
  return `${text.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, longest - 11)}-${hash(text)}`
}

/** User id of a nick. Nicks stay as they are written: `Foo` and `foo` are two users. */
export const userOfNick = (nick: string): string => idOf(nick, Limits.idChars)

/** Conversation id of a channel: `#ubuntu` and `ubuntu` are `ubuntu`. */
export const conversationOfChannel = (channel: string): string =>
  idOf(channel.replace(/^#+/, ''), Limits.idChars)

/** Message id of a line (from 0, as annotations count) of a file: the same at every import. */
export const messageOfLine = (stem: string, line: number): string =>
  `irc-${idOf(stem.replaceAll('.', '-'), Limits.idChars - 11)}-${String(line).padStart(6, '0')}`
