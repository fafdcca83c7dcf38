import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { RequestError } from '../client/index.ts'
import { withEffect } from './command/command-effect.ts'
import { requireIdOf } from './command/config-flags.ts'
import { addClientOptions, type ClientFlags, connectClient } from './command/server-address.ts'
import { print } from './terminal/output.ts'

interface SendFlags extends ClientFlags {
  readonly replyTo?: string
  readonly id?: string
  readonly join?: boolean
}

const send = async (c: string, words: string[], flags: SendFlags): Promise<void> => {
  requireIdOf('<conversation>', 'conversation', c)
  if (flags.replyTo !== undefined) requireIdOf('--reply-to', 'message', flags.replyTo)
  if (flags.id !== undefined) requireIdOf('--id', 'message', flags.id)
  const text = words.length > 0 ? words.join(' ') : readFileSync(0, 'utf8').replace(/\n$/, '')
  const client = await connectClient(flags)
  const post = () =>
    client.send(c, text, {
      ...(flags.replyTo === undefined ? {} : { replyTo: flags.replyTo }),
      ...(flags.id === undefined ? {} : { m: flags.id }),
    })
  try {
    if (flags.join)
      await client.request('join', { c }).catch(error => {
        if (!RequestError.is(error) || error.code !== 'NOT_FOUND') throw error
        return client.request('create', { c, kind: 'channel', members: [] })
      })
    const { seq, m, duplicate } = await post()
    await print(`${JSON.stringify({ c, seq, m, duplicate })}\n`)
  } finally {
    client.close()
  }
}

export const sendCommand = (): Command =>
  withEffect(
    'acts as a user',
    addClientOptions(new Command('send').description('Send a message and print its seq and id'))
      .argument('<conversation>', 'Id of the conversation')
      .argument('[text...]', 'Text of the message (default: standard input)')
      .option('--reply-to <message>', 'Id of the message that it replies to')
      .option(
        '--id <message>',
        'Id of the message; the same id again does not send it twice (default: a new id)',
      )
      .option('--join', 'Join the channel first, and create it if it does not exist')
      .action(send),
  )
