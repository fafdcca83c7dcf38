import type { Request, RequestType } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import {
  conversationCommand,
  deliveredMarker,
  hide,
  membershipCommand,
  mute,
  readMarker,
  userCommand,
} from './commands.ts'
import { bans, conversation, members } from './conversation.ts'
import { history } from './history.ts'
import { inbox, undelivered } from './inbox.ts'
import { invitations } from './invitations.ts'
import { media } from './media.ts'
import { profiles } from './profiles.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'
import { search } from './search.ts'
import { send } from './send.ts'
import { sessions } from './sessions.ts'
import { call, presence, typing } from './signals.ts'
import { ping, sync } from './sync.ts'

export type { RequestContext } from './request-context.ts'

type Handlers = { readonly [T in RequestType]: Handler<T> }

/** The handler of each request type. */
const handlers = (context: RequestContext): Handlers => {
  const command = conversationCommand(context)
  const ofMembers = membershipCommand(context)
  const ofUser = userCommand(context)
  return {
    create: ofMembers,
    send: send(context),
    edit: command,
    delete: command,
    react: command,
    invite: ofMembers,
    accept: ofMembers,
    decline: ofMembers,
    remove: ofMembers,
    ban: ofMembers,
    unban: ofMembers,
    role: command,
    join: ofMembers,
    leave: ofMembers,
    rename: command,
    settings: command,
    read: readMarker(context),
    delivered: deliveredMarker(context),
    mute: mute(context),
    hide: hide(context),
    block: ofUser,
    direct: ofUser,
    privacy: ofUser,
    profile: ofUser,
    profiles: profiles(context),
    typing: typing(context),
    call: call(context),
    presence: presence(context),
    conversation: conversation(context),
    history: history(context),
    inbox: inbox(context),
    undelivered: undelivered(context),
    members: members(context),
    invitations: invitations(context),
    bans: bans(context),
    search: search(context),
    media: media(context),
    sessions: sessions(context),
    sync: sync(context),
    ping: ping(),
  }
}

/** Returns the fields of the answer to a valid request. Throws or rejects as the handlers do. */
export type Answerer = (
  request: Request,
  caller: Caller,
) => Fields<RequestType> | Promise<Fields<RequestType>>

export const createAnswerer = (context: RequestContext): Answerer => {
  const table = handlers(context)
  return (request, caller) => (table[request.t] as Handler<RequestType>)(request, caller)
}
