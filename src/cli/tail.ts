import { Command, Option } from 'commander'
import { type ConfabClient, RequestError } from '../client/index.ts'
import type { ConversationEvent } from '../events/index.ts'
import { reads } from './command/command-effect.ts'
import { requireId } from './command/config-flags.ts'
import { interruption } from './command/run-command.ts'
import { addClientOptions, type ClientFlags, connectClient } from './command/server-address.ts'
import { note, print, styled } from './terminal/output.ts'

interface TailFlags extends ClientFlags {
  readonly conversation?: string
  readonly format: 'text' | 'ndjson'
}

/** Returns an event as one line of text. */
export const eventText = (event: ConversationEvent): string => {
  switch (event.type) {
    case 'conversation.created':
      return `created ${event.title ?? event.c} with ${event.members.map(({ user }) => user).join(', ')}`
    case 'conversation.renamed':
      return `renamed it to ${event.title}`
    case 'conversation.settings_changed':
      return event.archived === true
        ? 'archived it'
        : `let ${event.posting} post${event.slowModeSeconds === 0 ? '' : `, once in ${event.slowModeSeconds} s`}${event.historyFrom === 'join' ? '; members read from their joining on' : ''}${event.data === undefined ? '' : ', changed data'}`
    case 'member.joined':
      return event.user === event.from ? 'joined' : `added ${event.user}`
    case 'member.left':
      return event.user === event.from ? 'left' : `removed ${event.user}`
    case 'member.banned':
      return `banned ${event.user}${event.until === undefined ? '' : ` until ${event.until}`}`
    case 'member.unbanned':
      return `lifted the ban of ${event.user}`
    case 'member.invited':
      return `invited ${event.user}`
    case 'member.uninvited':
      if (event.accepted === true) return 'follows the channel'
      return event.user === event.from
        ? 'declined the invitation'
        : `withdrew the invitation of ${event.user}`
    case 'member.role_changed':
      return `made ${event.user} ${event.role}`
    case 'message.posted':
      return event.text.replaceAll('\n', '\n    ')
    case 'message.edited':
      return `edited ${event.m}: ${event.text.replaceAll('\n', '\n    ')}`
    case 'message.deleted':
      return `deleted ${event.m}`
    case 'reaction.added':
      return `${event.emoji} on ${event.m}`
    case 'reaction.removed':
      return `removed ${event.emoji} from ${event.m}`
  }
}

/** Replaces control characters, which could move the cursor or change the terminal. */
const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}]/gu, char => (char === '\n' ? char : '\ufffd'))

const line = (event: ConversationEvent): string => {
  const place = styled('dim', `${event.at.slice(0, 19).replace('T', ' ')}  ${event.c} ${event.seq}`)
  const text = printable(eventText(event))
  return `${place}  ${styled('bold', event.from)}  ${event.type === 'message.posted' ? text : styled('dim', text)}\n`
}

/**
 * Explains why no events may arrive: a mistyped id looks like a conversation without events. Other errors do not stop
 * the command.
 */
const noteMissingConversation = async (client: ConfabClient, c: string, user: string): Promise<void> => {
  const code = await client.request('conversation', { c }).then(
    () => undefined,
    error => (RequestError.is(error) ? error.code : undefined),
  )
  if (code === 'NOT_FOUND')
    note(`conversation ${c} does not exist yet, or ${user} is not a member: waiting for its events`)
  else if (code === 'NOT_MEMBER') note(`${user} is not a member of ${c} yet: waiting for its events`)
}

const tail = async (flags: TailFlags): Promise<void> => {
  const { conversation: c } = flags
  if (c !== undefined) requireId(c)
  const { signal, release } = interruption()
  const client = await connectClient(flags, signal)
  client.on('state', state => {
    if (state === 'waiting') note('connection lost, reconnecting')
  })
  let lastError: Error | undefined
  client.on('error', error => {
    lastError = error
  })
  try {
    const events = client.events({ signal, ...(c === undefined ? {} : { c }) })
    if (c !== undefined) void noteMissingConversation(client, c, flags.user)
    for await (const event of events)
      await print(flags.format === 'ndjson' ? `${JSON.stringify(event)}\n` : line(event))
    // The server has ended the session: the client does not reconnect.
    if (client.state === 'closed' && lastError !== undefined) throw lastError
  } finally {
    client.close()
    release()
  }
}

export const tailCommand = (): Command =>
  reads(
    addClientOptions(new Command('tail').description("Follow the events of a user's conversations"))
      .option('--conversation <id>', 'Only this conversation')
      .addOption(new Option('--format <format>', 'Output format').choices(['text', 'ndjson']).default('text'))
      .action(tail),
  )
