import type { Request, RequestType } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { conversationCommand, deliveredMark, mute, readMark, userCommand } from './commands.ts'
import { conversation } from './conversation.ts'
import { history } from './history.ts'
import { inbox, members, search, undelivered } from './inbox.ts'
import { media, send } from './media.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'
import { call, ping, presence, sync, typing } from './signals.ts'

export type { RequestContext } from './request-context.ts'

type Handlers = { readonly [T in RequestType]: Handler<T> }

const handlers = (context: RequestContext): Handlers => {
  const command = conversationCommand(context)
  const ofUser = userCommand(context)
  return {
    create: command,
    send: send(context),
    edit: command,
    delete: command,
    react: command,
    invite: command,
    remove: command,
    role: command,
    join: command,
    leave: command,
    rename: command,
    settings: command,
    read: readMark(context),
    delivered: deliveredMark(context),
    mute: mute(context),
    block: ofUser,
    privacy: ofUser,
    typing: typing(context),
    call: call(context),
    presence: presence(context),
    conversation: conversation(context),
    history: history(context),
    inbox: inbox(context),
    undelivered: undelivered(context),
    members: members(context),
    search: search(context),
    media: media(context),
    sync: sync(context),
    ping: ping(),
  }
}

/** Answers a checked request: what the answer adds. Throws or rejects, with ConfabError where the client is to see why. */
export type Answerer = (
  request: Request,
  caller: Caller,
) => Fields<RequestType> | Promise<Fields<RequestType>>

export const createAnswerer = (context: RequestContext): Answerer => {
  const table = handlers(context)
  return (request, caller) => (table[request.t] as Handler<RequestType>)(request, caller)
}
