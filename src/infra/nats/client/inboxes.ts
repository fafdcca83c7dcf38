import type { Msg } from '@nats-io/transport-node'
import { defaultInboxPrefix } from './inbox-options.ts'

/** The prefix of the subjects that a server puts in place of the inbox of a request from another account. */
export const otherAccountsPrefix = '_R_.'

/**
 * Whether a subject is an inbox, of the responder's account or of another one. A responder answers only there: the
 * sender of a request chooses the subject of the answer, and the responder may have rights that the sender lacks.
 */
export const isInbox = (subject: string | undefined): subject is string =>
  subject !== undefined && (subject.startsWith(defaultInboxPrefix) || subject.startsWith(otherAccountsPrefix))

/** Answers a message, unless its sender asks for the answer elsewhere than on an inbox. */
export const respond = (msg: Msg, data: string | Uint8Array): void => {
  if (isInbox(msg.reply)) msg.respond(data)
}
