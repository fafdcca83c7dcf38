import fc from 'fast-check'
import {
  type ConversationEvent,
  encodeBody,
  type Kind,
  type Role,
  type StoredEvent,
  type UserEvent,
} from '../../src/events/index.ts'

export const users = ['ann', 'bob', 'cyd', 'Dan', 'eve']
export const conversations = ['c-0', 'c-1', 'c-2', 'c-3']

/** Words as typed, and the words that find them. */
export const vocabulary: readonly (readonly [typed: string, found: string])[] = [
  ['hello', 'hello'],
  ['Hello,', 'HELLO'],
  ['café', 'cafe'],
  ['CAFE\u0301!', 'café'],
  ['Привет', 'привет'],
  ['<b>x</b>', 'x'],
  ['don\u0000t', 't'],
  ['東京', '東京'],
  ['🎉', '🎉'],
  ['naïveté', 'naivete'],
  ['\u0001\u001b[31m', '31m'],
  ['हिन्दी', 'हिन्दी'],
  ['Łódź', 'lodz'],
  ['un\u00adhappy', 'UNHAPPY'],
  ['ﾊﾞｽ', 'バス'],
]

const step = fc.record({
  act: fc.constantFrom(
    'create',
    'post',
    'post',
    'post',
    'post',
    'edit',
    'delete',
    'delete',
    'react',
    'join',
    'leave',
    'follow',
    'follow',
    'unfollow',
    'role',
    'rename',
    'read',
    'read',
    'delivered',
    'mute',
    'ban',
    'invite',
    'uninvite',
    'hide',
    'hide',
    'archive',
    'block',
  ),
  c: fc.nat(conversations.length - 1),
  user: fc.nat(users.length - 1),
  other: fc.nat(users.length - 1),
  pick: fc.nat(1000),
  words: fc.array(fc.nat(vocabulary.length - 1), { maxLength: 4 }),
  media: fc.boolean(),
})
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
export const stepsOf = (minLength: number, maxLength: number) => fc.array(step, { minLength, maxLength })
export const steps = stepsOf(20, 150)

interface Conversation {
  kind: Kind
  roles: Map<string, Role>
  followers: Set<string>
  invited: Set<string>
  messages: { m: string; seq: number; from: string; deleted: boolean }[]
}

/**
 * Returns the streams of a run of steps: valid histories for any steps. Conversations are spread over two streams, so
 * views are fed from both.
 */
export const historyOf = (run: readonly Step[]): Record<string, StoredEvent[]> => {
  const streams: Record<string, StoredEvent[]> = { CONV_0: [], CONV_1: [], USER_0: [] }
  const seqs = new Map<string, number>()
  const state = new Map<string, Conversation>()
  let clock = Date.parse('2026-01-01T00:00:00.000Z')

  const next = (id: string): number => {
    const seq = (seqs.get(id) ?? 0) + 1
    seqs.set(id, seq)
    return seq
  }
  const append = (stream: string, event: ConversationEvent | UserEvent, n: number): void => {
    const events = streams[stream]
    const [family, id, actor] =
      'u' in event ? (['user', event.u, event.u] as const) : (['conv', event.c, event.from] as const)
    events?.push({
      stream,
      // Streams have gaps too.
      streamSeq: (events.at(-1)?.streamSeq ?? 0) + 1 + (event.seq % 7 === 0 ? 1 : 0),
      aggregate: { family, id },
      envelope: {
        type: event.type,
        version: 1,
        seq: event.seq,
        n,
        actor,
        commandId: `${id}.${event.seq}`,
        epoch: 1,
      },
      data: encodeBody(event),
    })
  }

  for (const { act, c: ci, user: ui, other: oi, pick, words, media } of run) {
    const [c = '', user = '', other = ''] = [conversations[ci], users[ui], users[oi]]
    // Time sometimes stops, and sometimes goes back, as in imports.
    clock += pick % 5 === 0 ? -pick : pick % 3 === 0 ? 0 : pick
    const at = new Date(clock).toISOString()
    const text = words.map(i => vocabulary[i]?.[0]).join(' ')
    const existing = state.get(c)
    const emit = (event: Record<string, unknown>) =>
      append(
        ci % 2 === 0 ? 'CONV_0' : 'CONV_1',
        { t: 'event', c, seq: next(c), at, from: user, ...event } as unknown as ConversationEvent,
        state.get(c)?.messages.length ?? 0,
      )
    const emitUser = (event: Record<string, unknown>) =>
      append('USER_0', { u: user, seq: next(user), at, ...event } as unknown as UserEvent, 0)

    if (existing === undefined) {
      if (act !== 'create' && act !== 'post') continue
      const kind: Kind = pick % 3 === 0 && other !== user ? 'direct' : pick % 3 === 1 ? 'group' : 'channel'
      const roles = new Map<string, Role>([[user, 'owner']])
      roles.set(other, other === user ? 'owner' : 'member')
      const guest = users.find(who => !roles.has(who))
      const invited = kind === 'direct' || pick % 2 === 0 || guest === undefined ? [] : [guest]
      state.set(c, { kind, roles, followers: new Set(), invited: new Set(invited), messages: [] })
      const members = [...roles].map(([who, role]) => ({ user: who, role }))
      emit({
        type: 'conversation.created',
        kind,
        members,
        ...(kind === 'direct' ? {} : { title: `title ${pick}` }),
        ...(invited.length === 0 ? {} : { invited }),
      })
      continue
    }
    const { kind, roles, followers, invited, messages } = existing
    const isMember = roles.has(user) || followers.has(user)
    const message = messages[pick % Math.max(messages.length, 1)]
    switch (act) {
      case 'post': {
        if (!isMember) break
        const m = `m-${messages.length + 1}`
        messages.push({ m, seq: (seqs.get(c) ?? 0) + 1, from: user, deleted: false })
        const file = { mediaId: 'f', name: 'f.txt', type: 'text/plain', size: 1, sha256: '0'.repeat(64) }
        emit({
          type: 'message.posted',
          m,
          n: messages.length,
          text,
          ...(media ? { attachments: [file], data: { pick } } : {}),
        })
        break
      }
      case 'edit':
        if (message && !message.deleted && isMember) emit({ type: 'message.edited', m: message.m, text })
        break
      case 'delete': {
        // Usually the last message: the view has to fall back to the one before.
        const target = pick % 4 === 0 ? message : messages.findLast(({ deleted }) => !deleted)
        if (!target || target.deleted || !isMember) break
        target.deleted = true
        // Older versions did not write the seq of the message.
        emit({ type: 'message.deleted', m: target.m, ...(media ? { messageSeq: target.seq } : {}) })
        break
      }
      case 'react':
        if (message && isMember)
          emit({ type: media ? 'reaction.added' : 'reaction.removed', m: message.m, emoji: '👍' })
        break
      case 'join':
        if (kind === 'direct' || roles.has(user)) break
        roles.set(user, 'member')
        invited.delete(user)
        emit({ type: 'member.joined', user, role: 'member' })
        break
      case 'leave': {
        if (kind === 'direct' || !roles.has(user) || roles.size === 1) break
        const wasOwner = roles.get(user) === 'owner'
        roles.delete(user)
        const [heir = ''] = roles.keys()
        if (wasOwner) roles.set(heir, 'owner')
        emit({ type: 'member.left', user, ...(wasOwner ? { successor: heir } : {}) })
        break
      }
      case 'follow':
        if (kind !== 'channel' || followers.has(user)) break
        followers.add(user)
        emitUser({ type: 'channel.followed', c, head: seqs.get(c), n: messages.length })
        break
      case 'unfollow':
        if (!followers.delete(user)) break
        emitUser({ type: 'channel.unfollowed', c, head: seqs.get(c), by: user })
        break
      case 'role':
        if (kind === 'direct' || !roles.has(other) || roles.get(other) === 'owner') break
        roles.set(other, media ? 'admin' : 'member')
        emit({ type: 'member.role_changed', user: other, role: media ? 'admin' : 'member' })
        break
      case 'rename':
        if (kind !== 'direct' && isMember) emit({ type: 'conversation.renamed', title: `title ${pick}` })
        break
      case 'read':
      case 'delivered':
        emitUser({ type: `${act}.marked`, c, mark: pick % ((seqs.get(c) ?? 0) + 1) })
        break
      case 'mute':
        emitUser({ type: media ? 'conversation.muted' : 'conversation.unmuted', c })
        break
      case 'ban':
        if (kind === 'direct' || roles.get(other) === 'owner') break
        if (media) {
          roles.delete(other)
          invited.delete(other)
          emit({ type: 'member.banned', user: other, ...(pick % 2 === 0 ? {} : { until: at }) })
        } else emit({ type: 'member.unbanned', user: other })
        break
      case 'invite':
        if (kind === 'direct' || roles.has(other) || invited.has(other)) break
        invited.add(other)
        emit({ type: 'member.invited', user: other })
        break
      case 'uninvite':
        if (!invited.delete(other)) break
        emit({ type: 'member.uninvited', user: other, ...(media ? { accepted: true } : {}) })
        break
      case 'hide':
        if (!isMember) break
        if (pick % 4 === 0) emitUser({ type: 'conversation.unhidden', c })
        else emitUser({ type: 'conversation.hidden', c, head: seqs.get(c) })
        break
      case 'archive': {
        // Older versions did not write whether a conversation is archived.
        const archived = pick % 3 === 0 ? {} : { archived: media }
        if (kind === 'direct' || !isMember) break
        const uninvited = archived.archived === true ? [...invited] : []
        if (uninvited.length > 0) invited.clear()
        emit({
          type: 'conversation.settings_changed',
          posting: 'everybody',
          slowModeSeconds: 0,
          ...archived,
          ...(uninvited.length === 0 ? {} : { uninvited }),
        })
        break
      }
      case 'block':
        emitUser({ type: media ? 'user.blocked' : 'user.unblocked', user: other })
        emitUser({ type: 'privacy.changed', lastSeen: media ? 'nobody' : 'everybody' })
        emitUser({ type: 'profile.changed', data: media ? { pick } : null })
        emitUser({ type: 'direct.opened', peer: other, c, by: user })
    }
  }
  return streams
}
