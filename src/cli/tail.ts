import { Command, Option } from 'commander'
import { type ConfabClient, RequestError } from '../client/index.ts'
import type { ConversationEvent } from '../events/index.ts'
import { interruption } from './command/run-command.ts'
import { addClientOptions, type ClientFlags, connectClient } from './command/server-address.ts'
import { requireId } from './command/system-options.ts'
import { note, print, styled } from './terminal/output.ts'

interface TailFlags extends ClientFlags {
  readonly conversation?: string
  readonly format: 'text' | 'ndjson'
}

/** What an event says, on one line. */
export const eventText = (event: ConversationEvent): string => {
  switch (event.type) {
    case 'conversation.created':
      return `created ${event.title ?? event.c} with ${event.members.map(({ user }) => user).join(', ')}`
    case 'conversation.renamed':
      return `renamed it to ${event.title}`
    case 'conversation.settings_changed':
      return `let ${event.posting} post${event.slowModeSeconds === 0 ? '' : `, once in ${event.slowModeSeconds} s`}`
    case 'member.joined':
      return event.user === event.from ? 'joined' : `brought in ${event.user}`
    case 'member.left':
      return event.user === event.from ? 'left' : `removed ${event.user}`
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
      return `took ${event.emoji} back from ${event.m}`
  }
}

/** Control characters of a text would move the reader's cursor or worse. */
const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}]/gu, char => (char === '\n' ? char : '\ufffd'))

const line = (event: ConversationEvent): string => {
  const place = styled('dim', `${event.at.slice(0, 19).replace('T', ' ')}  ${event.c} ${event.seq}`)
  const text = printable(eventText(event))
  return `${place}  ${styled('bold', event.from)}  ${event.type === 'message.posted' ? text : styled('dim', text)}\n`
}

/** Says why nothing may come of a conversation: a mistyped id looks like one in which nothing happens. What a node can't tell now is no reason not to follow. */
const tellWhatIsMissing = async (client: ConfabClient, c: string, user: string): Promise<void> => {
  const code = await client.request('conversation', { c }).then(
    () => undefined,
    error => (RequestError.is(error) ? error.code : undefined),
  )
  if (code === 'NOT_FOUND')
    note(`there is no conversation ${c} yet, or ${user} is not in it: waiting for events of it`)
  else if (code === 'NOT_MEMBER') note(`${user} is not in ${c} yet: waiting for events of it`)
}

const tail = async (flags: TailFlags): Promise<void> => {
  const { conversation: c } = flags
  if (c !== undefined) requireId(c)
  const { signal, release } = interruption()
  const client = await connectClient(flags, signal)
  client.on('state', state => {
    if (state === 'waiting') note('connection lost; trying again')
  })
  try {
    const events = client.events({ signal, ...(c === undefined ? {} : { c }) })
    if (c !== undefined) void tellWhatIsMissing(client, c, flags.user)
    for await (const event of events)
      await print(flags.format === 'ndjson' ? `${JSON.stringify(event)}\n` : line(event))
  } finally {
    client.close()
    release()
  }
}

export const tailCommand = (): Command =>
  addClientOptions(new Command('tail').description("follow what happens in a user's conversations"))
    .option('--conversation <id>', 'only this one')
    .addOption(new Option('--format <format>', 'how').choices(['text', 'ndjson']).default('text'))
    .action(tail)
