import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import {
  type Attachment,
  ConfabError,
  canonicalEmoji,
  dataFault,
  Hello,
  type HelloRequest,
  isBlank,
  isId,
  isTime,
  Limits,
  type Request,
  type RequestOf,
  Requests,
  type RequestType,
  titleFault,
} from '../../events/index.ts'
import { normalDescription } from '../../media/index.ts'

type Fields = Record<string, unknown>

const checks = new Map<string, TypeCheck<TSchema>>(
  Object.entries({ ...Requests, hello: Hello }).map(([type, schema]) => [type, TypeCompiler.Compile(schema)]),
)

const bad = (message: string, field?: string): ConfabError =>
  new ConfabError('BAD_REQUEST', message, field === undefined ? {} : { field })

/** Returns the id of a request if it is valid, otherwise null. */
export const requestId = (value: Fields): string | null => {
  const id = value.id
  return typeof id === 'string' && id.length > 0 && id.length <= Limits.idChars ? id : null
}

/** Characters of an unknown field's name that an error repeats; a longer name may fill a frame. */
const maxNameChars = 64

/** Returns the path of the field that an error is about. */
const fieldOf = ({ path, type }: ValueError): string | undefined =>
  path === '' || (type === ValueErrorType.ObjectAdditionalProperties && path.length > maxNameChars)
    ? undefined
    : path

const expectation = ({ schema, value, message }: ValueError): string => {
  const anyOf = schema.anyOf as { const?: unknown; type?: string }[] | undefined
  const options = anyOf?.map(option => option.const)
  if (options?.every(option => typeof option === 'string')) return `expected one of ${options.join(', ')}`
  if (anyOf !== undefined) return `expected ${anyOf.map(({ type }) => type).join(' or ')}`
  if (schema.pattern !== undefined && typeof value === 'string')
    return `expected a string that matches ${schema.pattern}`
  return message.charAt(0).toLowerCase() + message.slice(1)
}

/** Describes a schema error without repeating the client's input, except for the name of a field. */
const describe = (error: ValueError): string => {
  if (error.type === ValueErrorType.ObjectAdditionalProperties)
    return `${fieldOf(error)?.slice(1) ?? 'request'}: unknown field.`
  return `${error.path.slice(1) || 'request'}: ${expectation(error)}.`
}

const wellFormed = (value: unknown, field: string): void => {
  if (typeof value === 'string' && !value.isWellFormed())
    throw bad(`${field.slice(1)}: expected well-formed Unicode, found half of a surrogate pair.`, field)
}

const checkBytes = (text: unknown, field: string, most: number): void => {
  // A UTF-16 code unit is at most 3 bytes of UTF-8: short texts need no counting.
  if (typeof text === 'string' && text.length * 3 > most)
    if (Buffer.byteLength(text) > most)
      throw new ConfabError('TOO_LARGE', `${field.slice(1)}: at most ${most} bytes of UTF-8.`, { field })
}

const checkText = (text: unknown): void => checkBytes(text, '/text', Limits.textBytes)

const checkCallData = (data: unknown): void => {
  checkBytes(data, '/data', Limits.callBytes)
  wellFormed(data, '/data')
}

/** Bytes of a JSON pointer into data that an error repeats; a longer one names the data. */
const maxPointerBytes = 256

/** Checks the data of an application. A request without such data in its schema is refused later. */
const checkAppData = (data: unknown): void => {
  const fault = dataFault(data)
  if (fault === undefined) return
  const { code, pointer, reason } = fault
  const field = `/data${Buffer.byteLength(pointer) > maxPointerBytes ? '' : pointer}`
  throw new ConfabError(code, `${field.slice(1)}: ${reason}.`, { field })
}

const checkCursors = (cursors: unknown, field: string, most: number = Limits.cursors): void => {
  const ids = Object.keys(cursors as object)
  if (ids.length > most) throw bad(`${field.slice(1)}: at most ${most} conversations.`, field)
  if (!ids.every(isId)) throw bad(`${field.slice(1)}: its keys must be conversation ids.`, field)
}

/** Most texts start with a visible ASCII character, so one comparison decides. */
const isBlankText = (text: string): boolean => {
  const first = text.charCodeAt(0)
  return !(first > 0x20 && first < 0x7f) && isBlank(text)
}

const checkTitle = (title: string | undefined): void => {
  const fault = title === undefined ? undefined : titleFault(title)
  if (fault !== undefined) throw bad(`title: ${fault}.`, '/title')
}

/**
 * Returns the request with its emoji in canonical form. A removal may name any text, because earlier versions stored
 * any text as a reaction.
 */
const checkReaction = (request: RequestOf['react']): RequestOf['react'] => {
  if (!request.on) return request
  const emoji = canonicalEmoji(request.emoji)
  if (emoji === undefined) throw bad('emoji: expected one emoji.', '/emoji')
  return emoji === request.emoji ? request : { ...request, emoji }
}

/** A date, or a time with its zone, as ISO 8601. Other forms depend on the time zone of the server. */
const isoTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/

/** Returns the request with the end of the ban as events have it: ISO 8601, UTC, with milliseconds. */
const checkBan = (request: RequestOf['ban']): RequestOf['ban'] => {
  if (request.until === undefined) return request
  const time = isoTime.test(request.until) ? Date.parse(request.until) : Number.NaN
  const until = Number.isNaN(time) ? '' : new Date(time).toISOString()
  // The zone may move the time out of the years that events can have.
  if (!isTime(until)) throw bad('until: expected a time such as 2026-11-24T02:30:43.123Z.', '/until')
  return { ...request, until }
}

const checkFields = (value: Fields): void => {
  wellFormed(value.text, '/text')
  wellFormed(value.title, '/title')
  wellFormed(value.emoji, '/emoji')
  wellFormed(value.q, '/q')
}

/** Returns an attachment as it is stored: with normalised name and type. */
const checkAttachment = (attachment: Attachment, index: number): Attachment => {
  const { mediaId, size, sha256 } = attachment
  return { mediaId, ...normalDescription(attachment, `/attachments/${index}`), size, sha256 }
}

/** Checks an object against its type's schema. Throws ConfabError: BAD_REQUEST with the field, TOO_LARGE for text. */
const checkShape = (value: Fields): void => {
  const type = value.t
  const check = typeof type === 'string' ? checks.get(type) : undefined
  if (check === undefined) throw bad('t: unknown request type.', '/t')
  checkText(value.text)
  if (type === 'call') checkCallData(value.data)
  if (!check.Check(value)) {
    const error = check.Errors(value).First()
    throw error === undefined
      ? bad('The request does not match the schema of its type.')
      : bad(describe(error), fieldOf(error))
  }
  checkFields(value)
  if (value.data !== undefined && type !== 'call') checkAppData(value.data)
}

/** Checks an object and returns it as a request. Throws ConfabError BAD_REQUEST or TOO_LARGE. */
export const checkRequest = (value: Fields): Request => {
  checkShape(value)
  const request = value as unknown as Request | HelloRequest
  switch (request.t) {
    case 'hello':
      throw bad('t: this session has already sent hello.', '/t')
    case 'send':
      if (request.attachments !== undefined && request.attachments.length > 0)
        return { ...request, attachments: request.attachments.map(checkAttachment) }
      if (isBlankText(request.text)) throw bad('text: must not be blank without attachments.', '/text')
      break
    case 'edit':
      if (isBlankText(request.text)) throw bad('text: must not be blank.', '/text')
      break
    case 'create':
    case 'rename':
      checkTitle(request.title)
      break
    case 'react':
      return checkReaction(request)
    case 'ban':
      return checkBan(request)
    case 'search':
      if (isBlank(request.q)) throw bad('q: must not be blank.', '/q')
      break
    case 'history':
      if (request.before !== undefined && request.after !== undefined)
        throw bad('before: must not be combined with after.', '/before')
      if (request.around !== undefined && (request.before ?? request.after) !== undefined)
        throw bad('around: must not be combined with before or after.', '/around')
      break
    case 'inbox':
      if (request.seen !== undefined) checkCursors(request.seen, '/seen', Limits.seen)
      break
    case 'presence':
      if (request.lastSeen === true && (request.users?.length ?? 0) > Limits.lastSeenUsers)
        throw bad(`lastSeen: at most ${Limits.lastSeenUsers} users.`, '/lastSeen')
      break
    case 'call':
      if (request.data === undefined && request.kind !== 'bye')
        throw bad(`data: required with kind ${request.kind}.`, '/data')
      break
    case 'media':
      return { ...request, ...normalDescription(request) }
    case 'sync':
      checkCursors(request.cursors, '/cursors')
      break
  }
  return request
}

/** Checks an object and returns it as a `hello`. Throws ConfabError BAD_REQUEST. */
export const checkHello = (value: Fields): HelloRequest => {
  checkShape(value)
  const request = value as unknown as HelloRequest
  if (request.resume !== undefined) checkCursors(request.resume, '/resume')
  return request
}

export const isRequestType = (type: unknown): type is RequestType | 'hello' =>
  typeof type === 'string' && checks.has(type)
