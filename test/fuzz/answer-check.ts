import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { ErrorSchema } from '../../src/edge/transports/http/api-schemas.ts'
import {
  Answers,
  CommonErrors,
  ConversationEvents,
  type ErrorCode,
  ErrorRegistry,
  HelloAnswer,
  Pushes,
  RequestErrors,
  StreamPushes,
} from '../../src/events/index.ts'
import type { Fields } from './arbitrary-requests.ts'

/** Thrown when the server does what it must not do. */
export class Finding extends Error {}

/** Part of every content of the victims. No stranger may receive it. */
export const secretMark = 'Zq7secretZq7'

const compiled = (schemas: Readonly<Record<string, TSchema>>): Map<string, TypeCheck<TSchema>> =>
  new Map(Object.entries(schemas).map(([name, schema]) => [name, TypeCompiler.Compile(schema)]))

const answers = compiled({ ...Answers, hello: HelloAnswer })
const events = compiled(ConversationEvents)
const pushes = compiled(Pushes)
const streamPushes = compiled(StreamPushes)
const error = TypeCompiler.Compile(ErrorSchema)

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length} characters)` : text
}

const requireShape = (check: TypeCheck<TSchema> | undefined, value: unknown, what: string): void => {
  if (check === undefined) throw new Finding(`${what} is not in the published schemas: ${shown(value)}`)
  if (check.Check(value)) return
  const fault = check.Errors(value).First()
  throw new Finding(`${what} breaks its schema at ${fault?.path}, ${fault?.message}: ${shown(value)}`)
}

/** Errors that the documentation of a request names. */
const documentedCodes = (type: string): ReadonlySet<ErrorCode> =>
  new Set(
    [
      ...CommonErrors,
      ...(Object.hasOwn(RequestErrors, type) ? RequestErrors[type as keyof typeof RequestErrors] : []),
    ].map(({ code }) => code),
  )

/** Throws Finding unless an error is one that clients may receive. `type`: of the request, if it is known. */
export const checkError = (body: unknown, type?: string): ErrorCode => {
  requireShape(error, body, 'an error')
  const { code, message, retryable } = body as { code: ErrorCode; message: string; retryable: boolean }
  if (code === 'INTERNAL') throw new Finding(`INTERNAL was answered to ${type ?? 'a request'}`)
  if (code === 'LOG_DAMAGED' || code === 'UNREADABLE_EVENT')
    throw new Finding(`${code} was answered to ${type ?? 'a request'} although the log is whole`)
  if (retryable !== ErrorRegistry[code].retryable)
    throw new Finding(`${code} has another advice to retry than the registry`)
  if (type !== undefined && !documentedCodes(type).has(code))
    throw new Finding(`${code} is not among the documented errors of ${type}: ${message}`)
  return code
}

/** Throws Finding unless an answer has the published form. `type`: of the request, if it is known. */
export const checkAnswer = (answer: Fields, type?: string): void => {
  if (answer.ok === false) {
    checkError(answer.error, type)
    return
  }
  if (answer.ok !== true) throw new Finding(`an answer is neither a success nor an error: ${shown(answer)}`)
  if (type !== undefined) checkFields(answer, type)
}

/** Throws Finding unless the fields of a successful answer to this type of request have the published form. */
export const checkFields = (answer: Fields, type: string): void => {
  requireShape(answers.get(type), answer, `the answer to ${type}`)
  for (const event of (answer.events as Fields[] | undefined) ?? []) checkEvent(event)
}

const checkEvent = (event: Fields): void =>
  requireShape(events.get(String(event.type)), event, `an event ${shown(event.type)}`)

/** Throws Finding unless a frame that is no answer has the published form. */
export const checkPush = (push: Fields, isStream = false): void => {
  if (push.t === 'event') checkEvent(push)
  else if (push.t === 'signal')
    requireShape(pushes.get(String(push.type)), push, `a signal ${shown(push.type)}`)
  else {
    const name = String(push.t)
    requireShape(pushes.get(name) ?? (isStream ? streamPushes.get(name) : undefined), push, `a push ${name}`)
  }
}

/** Throws Finding when bytes that a stranger received contain content of a victim. */
export const checkSecrecy = (received: string): void => {
  const place = received.indexOf(secretMark)
  if (place >= 0)
    throw new Finding(
      `a stranger received content of a victim: ${received.slice(Math.max(0, place - 300), place + 60)}`,
    )
}
