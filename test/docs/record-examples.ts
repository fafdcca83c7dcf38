import { decodeUserEvent } from '../../src/events/index.ts'
import type { TestConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { showPresence } from '../harness/show-presence.ts'
import { described, png } from '../harness/upload.ts'

type Fields = Record<string, unknown>

/** An exchange of the scenario, as it went over the socket. */
export interface Exchange {
  readonly type: string
  readonly request: Fields
  readonly answer: Fields
}

/** The examples of docs/protocol.md. */
export interface Examples {
  readonly requests: Readonly<Record<string, { readonly request: Fields; readonly answer: Fields }>>
  readonly events: Readonly<Record<string, Fields>>
  readonly userEvents: Readonly<Record<string, Fields>>
  readonly pushes: Readonly<Record<string, Fields>>
  readonly streamPushes: Readonly<Record<string, Fields>>
}

const c = 'tea'
const [m1, m2, m3] = [
  '01935b8e-2f4a-7c31-9b0e-5d2f8a6c1e01',
  '01935b8e-5a17-7d02-8c44-1b9e7f3a2d02',
  '01935b8f-0c6e-7be3-a1f5-6e4d9c8b7a03',
]

/** A client of the scenario: remembers what it sent and received. */
const recorded =
  (client: RawClient, exchanges: Exchange[]) =>
  async (t: string, fields: Fields = {}) => {
    const id = String(exchanges.length + 1)
    const request = { id, t, ...fields }
    const received = client.next(frame => frame.re === id)
    client.send(request)
    const answer = await received
    if (answer.ok !== true) throw new Error(`${t}: ${JSON.stringify(answer)}`)
    exchanges.push({ type: t, request, answer })
    return answer
  }

/** Reads messages of `GET /v1/stream` until the server ends it. */
const readStream = async (
  confab: TestConfab,
  user: string,
): Promise<{ first: Fields; rest: Promise<Fields[]> }> => {
  const headers = { authorization: `Bearer ${await confab.token(user)}` }
  const { body } = await fetch(`${confab.url}/v1/stream`, { headers })
  const reader = body!.pipeThrough(new TextDecoderStream()).getReader()
  const pushes: Fields[] = []
  let text = ''
  const more = async (): Promise<boolean> => {
    const { done, value } = await reader.read()
    text += value ?? ''
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1]
      if (data !== undefined) pushes.push(JSON.parse(data) as Fields)
      text = text.slice(end + 2)
    }
    return !done
  }
  while (pushes.length === 0 && (await more())) {}
  const rest = (async () => {
    // The connection closes without the last chunk of the body: fetch rejects after the last push.
    while (await more().catch(() => false)) {}
    return pushes
  })()
  return { first: pushes[0]!, rest }
}

/**
 * Runs the scenario that the examples of docs/protocol.md come from, on a real server, and drains the server.
 * Returns all exchanges, and the example of each request, event and push.
 */
export const recordExamples = async (
  confab: TestConfab,
  raiseEpoch: () => void,
): Promise<{ exchanges: readonly Exchange[]; examples: Examples }> => {
  const exchanges: Exchange[] = []
  const sockets = {
    alice: await confab.connect('alice', { device: 'phone' }),
    bob: await confab.connect('bob'),
    carol: await confab.connect('carol'),
    erin: await confab.connect('erin'),
  }
  const { alice: phone, bob: bobs } = sockets
  const alice = recorded(phone, exchanges)
  const bob = recorded(bobs, exchanges)
  const carol = recorded(sockets.carol, exchanges)
  const erin = recorded(sockets.erin, exchanges)

  await alice('create', { c, kind: 'group', title: 'Tea', members: ['bob', 'carol'], key: 'create-tea' })
  await alice('send', { c, m: m1, text: 'It is ready' })
  await bob('send', { c, m: m2, text: 'On my way', replyTo: m1 })
  await alice('edit', { c, m: m1, text: 'It is ready now', key: 'edit-1' })
  await bob('react', { c, m: m1, emoji: '🍵', on: true, key: 'react-1' })
  await bob('react', { c, m: m1, emoji: '🍵', on: false, key: 'react-2' })
  await bob('delete', { c, m: m2, key: 'delete-2' })
  await alice('invite', { c, user: 'dave', key: 'invite-dave' })
  await alice('role', { c, user: 'bob', role: 'admin', key: 'role-bob' })
  await bob('remove', { c, user: 'dave', key: 'remove-dave' })
  await bob('rename', { c, title: 'Tea and cake', key: 'rename-1' })
  await alice('settings', { c, slowModeSeconds: 30, key: 'settings-1' })
  await bob('read', { c, seq: 12 })
  await phone.find(frame => frame.type === 'receipt' && frame.user === 'bob')
  await carol('delivered', { c, seq: 12 })
  await alice('send', { c, m: m3, text: 'There is cake as well' })
  await alice('mute', { c, on: true })
  await alice('block', { user: 'mallory', on: true })
  await alice('privacy', { lastSeen: 'nobody', receipts: 'nobody', invitations: 'contacts' })
  await alice('profile', { data: { name: 'Alice', colour: 'green' } })
  await bob('profiles', { users: ['alice', 'carol'] })
  await bob('typing', { c, on: true })
  await phone.find(frame => frame.type === 'typing')
  await alice('call', { c, to: 'bob', call: 'call-1', kind: 'offer', data: 'v=0 …' })
  await bobs.find(frame => frame.type === 'call')
  await bob('conversation', { c })
  await alice('history', { c, limit: 2 })
  await alice('inbox', { limit: 1, seen: { [c]: 13 } })
  await carol('undelivered')
  await carol('members', { c })
  await carol('search', { q: 'rea* now', c })
  await alice('media', described(png(), { name: 'cup.png' }))
  await alice('create', { c: 'news', kind: 'channel', title: 'News', members: ['carol'] })
  await erin('join', { c: 'news', key: 'join-1' })
  await erin('leave', { c: 'news', key: 'leave-1' })
  await showPresence(confab, 'frank')
  await alice('presence', { users: ['bob', 'frank'], c })
  const franks = await confab.connect('frank')
  const frank = recorded(franks, exchanges)
  await phone.find(frame => frame.type === 'presence')
  // The channel is full: frank follows it.
  await erin('join', { c: 'news' })
  await frank('join', { c: 'news' })
  await frank('leave', { c: 'news' })
  await frank('privacy', { invitations: 'contacts' })
  await alice('invite', { c, user: 'frank', key: 'invite-frank' })
  await franks.find(frame => frame.t === 'invitation')
  await frank('invitations')
  await frank('decline', { c, key: 'decline-1' })
  await alice('invite', { c, user: 'frank', key: 'invite-frank-2' })
  await frank('accept', { c, key: 'accept-1' })
  await alice('ban', { c: 'news', user: 'mallory', until: '2099-01-01T00:00:00Z', key: 'ban-mallory' })
  await alice('bans', { c: 'news' })
  await alice('unban', { c: 'news', user: 'mallory', key: 'unban-mallory' })
  await alice('mute', { c, on: false })
  await alice('block', { user: 'mallory', on: false })
  await alice('hide', { c, on: true })
  await alice('hide', { c, on: false })
  await alice('create', { c: 'alice-dave', kind: 'direct', members: ['dave'] })
  await alice('direct', { user: 'dave' })
  await alice('sessions')
  await alice('ping')
  await alice('sync', { cursors: { [c]: 12 } })
  await phone.find(frame => frame.t === 'synced')
  await alice('sync', { cursors: { [c]: 99 } })
  await phone.find(frame => frame.t === 'refetch')

  const second = await confab.socket()
  await recorded(second, exchanges)('hello', {
    token: await confab.token('alice'),
    device: 'tablet',
    resume: { [c]: 12 },
  })
  await second.find(frame => frame.t === 'synced')
  await alice('read', { c, seq: 13 })
  await second.find(frame => frame.t === 'inbox')
  const stream = await readStream(confab, 'alice')
  const hasRisen = second.find(frame => frame.t === 'epoch')
  raiseEpoch()
  await hasRisen
  const isDraining = second.find(frame => frame.t === 'drain')
  const drained = confab.edge.drain()
  await isDraining
  const streamed = await stream.rest
  for (const socket of Object.values(sockets)) socket.close()
  second.close()
  await drained

  const userEvents: Fields[] = []
  for (const id of ['alice', 'bob', 'carol', 'frank'])
    for await (const batch of confab.log.read({ family: 'user', id }, 0))
      for (const event of batch) userEvents.push(decodeUserEvent(event) as unknown as Fields)

  const frames = [phone, bobs, second, franks].flatMap(({ frames }) => frames)
  const first = (of: readonly Fields[], nameOf: (frame: Fields) => unknown): Record<string, Fields> => {
    const found: Record<string, Fields> = {}
    for (const frame of of) {
      const name = nameOf(frame)
      if (typeof name === 'string') found[name] ??= frame
    }
    return found
  }
  const requests: Record<string, { request: Fields; answer: Fields }> = {}
  for (const { type, request, answer } of exchanges) requests[type] ??= { request, answer }
  return {
    exchanges,
    examples: {
      requests,
      events: first(frames, ({ t, type }) => (t === 'event' ? type : undefined)),
      userEvents: first(userEvents, ({ type }) => type),
      pushes: first(frames, ({ t, type }) => (t === 'event' ? undefined : t === 'signal' ? type : t)),
      streamPushes: { hello: stream.first, closed: streamed.at(-1)! },
    },
  }
}
