import { type TSchema, Type } from '@sinclair/typebox'
import { ConversationEvents, ErrorRegistry, type Request, Requests } from '../../../events/index.ts'

/** Returns a schema as plain JSON, without TypeBox's symbols. */
export const plain = (schema: TSchema): object => JSON.parse(JSON.stringify(schema)) as object

/** A note in the API documents: JSON Schema counts code points, this server does not. */
export const unitOfLengths =
  'String lengths are limited in UTF-16 code units. Texts are also limited in bytes of UTF-8.'

export const ErrorSchema = Type.Object({
  code: Type.Union(Object.keys(ErrorRegistry).map(code => Type.Literal(code))),
  message: Type.String(),
  retryable: Type.Boolean(),
  field: Type.Optional(Type.String({ description: 'The invalid field, as a JSON pointer' })),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
})

/** Request schemas by name: `sendRequest`, `historyRequest` … */
export const requestSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(Requests).map(([type, schema]) => [`${type}Request`, plain(schema)]))

/** Event schemas by type: `message.posted` … */
export const eventSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(ConversationEvents).map(([type, schema]) => [type, plain(schema)]))

/** Summaries of the requests for the API documents. */
export const summaries: Readonly<Record<Request['t'], string>> = {
  create: 'Create a conversation',
  send: 'Post a message. A repeated send with the same message id posts nothing new',
  edit: 'Change the text of an own message',
  delete: 'Delete a message',
  react: 'Add or remove a reaction',
  invite: 'Add a member',
  remove: 'Remove a member',
  role: 'Change the role of a member',
  join: 'Join a channel',
  leave: 'Leave a conversation',
  rename: 'Change the title of a conversation',
  settings: 'Change who may post and how often',
  read: 'Move the read marker',
  delivered: 'Move the delivered marker',
  mute: 'Mute or unmute a conversation',
  block: 'Block or unblock a user',
  privacy: 'Set who may see the own last-seen time',
  typing: 'Signal that the user is typing',
  call: 'Send a call signal to a member: offer, answer, candidate or end',
  presence: 'Watch the presence of users, count online members, or report the own state',
  conversation: 'Get the settings and the size of a conversation',
  history: 'Get a page of the events of a conversation',
  inbox: 'List the own conversations, most recently active first',
  undelivered: 'List messages that no device of the user has received',
  members: 'List the members of a conversation',
  search: 'Search messages in the own conversations',
  media: 'Start or continue an upload',
  sync: 'Request missed events',
  ping: 'Get the time of the server',
}
