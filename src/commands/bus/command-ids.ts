import { v7 } from 'uuid'
import type { ConversationRequest, UserRequest } from '../../events/index.ts'

/**
 * The id of a command, unique in the log; equal for a command that is sent again, when there is something to tell it by: a message's id, or a key. Dots part it, since ids have none.
 */
export const commandIdOf = (request: ConversationRequest | UserRequest, from: string): string => {
  if (request.t === 'send') return messageCommandId(request.c, from, request.m)
  if ('key' in request && request.key !== undefined) return `k.${request.c}.${from}.${request.key}`
  return v7()
}

/** The command id of `send`. */
export const messageCommandId = (c: string, from: string, m: string): string => `m.${c}.${from}.${m}`
