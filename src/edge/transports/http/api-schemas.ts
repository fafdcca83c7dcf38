import { type TSchema, Type } from '@sinclair/typebox'
import { ConversationEvents, ErrorRegistry, type Request, Requests } from '../../../events/index.ts'

/** A schema as plain JSON: without the symbols that TypeBox keeps in it. */
export const plain = (schema: TSchema): object => JSON.parse(JSON.stringify(schema)) as object

/** What `maxLength` cannot say: JSON Schema counts code points. */
export const unitOfLengths =
  'Lengths of strings are checked in UTF-16 code units, texts in bytes of UTF-8 too.'

export const ErrorSchema = Type.Object({
  code: Type.Union(Object.keys(ErrorRegistry).map(code => Type.Literal(code))),
  message: Type.String(),
  retryable: Type.Boolean(),
  field: Type.Optional(Type.String({ description: 'The field that was wrong, as a JSON pointer' })),
  retryAfterMs: Type.Optional(Type.Integer({ minimum: 0 })),
})

/** `sendRequest`, `historyRequest` … */
export const requestSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(Requests).map(([type, schema]) => [`${type}Request`, plain(schema)]))

/** `message.posted` …, as they are called. */
export const eventSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(ConversationEvents).map(([type, schema]) => [type, plain(schema)]))

/** What each request is for, for the documents. */
export const summaries: Readonly<Record<Request['t'], string>> = {
  create: 'Make a conversation',
  send: 'Post a message; again with the same id it is the same message',
  edit: 'Change the text of a message of one’s own',
  delete: 'Delete a message',
  react: 'Add or take back a reaction',
  invite: 'Bring somebody in',
  remove: 'Take somebody out',
  role: 'Give somebody a role',
  join: 'Come into a channel',
  leave: 'Go',
  rename: 'Change the title',
  settings: 'Say who posts, and how often',
  read: 'Move the read mark forward',
  delivered: 'Move the delivered mark forward',
  mute: 'Mute a conversation, or no longer',
  block: 'Block a user, or no longer',
  privacy: 'Say who is told when one was last here',
  typing: 'Tell the others that one types',
  call: 'Signal a call to a member: an offer, an answer, a candidate, or that it is over',
  presence: 'Watch who is online, count who of a conversation is, say that one is away',
  conversation: 'A conversation as it stands',
  history: 'A page of a conversation’s events',
  inbox: 'One’s conversations, the last active first',
  undelivered: 'Messages that wait for one’s devices',
  members: 'A page of a conversation’s members',
  search: 'Find messages in one’s conversations',
  media: 'Begin an upload, or go on with one',
  sync: 'Ask for missed events',
  ping: 'Ask for the time',
}
