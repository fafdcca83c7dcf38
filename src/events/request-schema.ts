import { type TProperties, Type } from '@sinclair/typebox'
import { AppData, AppDataChange } from './app-data.ts'
import { AttachmentFields } from './conversation-events.ts'
import { Id, Mark } from './ids.ts'
import { Limits } from './limits.ts'
import { described, optional } from './schema.ts'

/** The client's id of a request. The answer repeats it as `re`. */
export const RequestId = Type.String({ minLength: 1, maxLength: Limits.idChars })

const id = described(RequestId, 'Id of the request, chosen by the client. The answer repeats it as `re`.')

/**
 * A request's schema. The description is the purpose of the request, in one sentence. Unknown fields are an error: a
 * client would otherwise believe that the server understood them.
 */
export const request = <const T extends string, P extends TProperties>(
  t: T,
  description: string,
  fields: P,
) =>
  Type.Object(
    { id, t: described(Type.Literal(t), 'Type of the request.'), ...fields },
    {
      description,
      additionalProperties: false,
    },
  )

export const c = described(Id, 'Conversation id.')
export const m = described(Id, 'Message id.')
export const key = optional(
  Id,
  'Idempotency key of the command. A retry with the same key gets the answer of the first attempt; another command needs another key.',
)
export const cursor = optional(
  Type.String({ minLength: 1, maxLength: 512 }),
  'Cursor from the previous page. Absent: the first page.',
)
export const text = (description: string) =>
  described(Type.String({ maxLength: Limits.textBytes }), description, { 'x-maxBytes': Limits.textBytes })
export const page = (most: number, byDefault: number, of: string) =>
  optional(Type.Integer({ minimum: 1, maximum: most }), `Maximum number of ${of} in the page.`, {
    default: byDefault,
  })

const dataBounds = { 'x-maxBytes': Limits.dataBytes } as const
/** Data of something new, and a change of existing data. */
export const data = optional(
  AppData,
  'Data of the application, any JSON object. Absent or empty: none.',
  dataBounds,
)
export const newData = optional(
  AppDataChange,
  'New data of the application, any JSON object. `null` or empty: remove it. Absent: unchanged.',
  dataBounds,
)

/** The description of a file as a device gives it. The server stores a normalised name and type. */
export const FileFields = {
  ...AttachmentFields,
  name: described(
    Type.String({ minLength: 1, maxLength: 1024 }),
    'File name, as the device gives it. It may not have folders, control characters or characters that override the writing direction. The server removes other invisible characters, and normalises and shortens it.',
  ),
  type: described(
    Type.String({ maxLength: 255 }),
    'Media type, as the device gives it. The server stores it in lower case, without parameters, under its proper name. Empty: `application/octet-stream`.',
  ),
} as const

/** Conversation id to a sequence number, 0 for "no event yet". */
export const Cursors = Type.Record(Id, Mark)
