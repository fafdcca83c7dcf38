import type { EventLog } from '../../src/commands/index.ts'
import { type ConversationEvent, encodeBody, type UserEvent } from '../../src/events/index.ts'

const users = ['ann', 'bob', 'cyd', 'dan', 'eve']

/** Endless talk in many conversations: each call appends events to the log. Valid and deterministic. */
export const chatterOn = (log: EventLog, conversations: number) => {
  const ends = new Map<string, { seq: number; at: number; n: number }>()
  let turn = 0

  const append = async (
    family: 'conv' | 'user',
    id: string,
    actor: string,
    eventOf: (seq: number, n: number) => ConversationEvent | UserEvent,
    isMessage = false,
  ): Promise<void> => {
    const end = ends.get(id) ?? { seq: 0, at: 0, n: 0 }
    const [seq, n] = [end.seq + 1, end.n + (isMessage ? 1 : 0)]
    const event = eventOf(seq, n)
    const envelope = { type: event.type, version: 1, seq, n, actor, commandId: `${id}.${seq}`, epoch: 1 }
    const { position } = await log.append({ family, id }, end.at, [{ envelope, data: encodeBody(event) }])
    ends.set(id, { seq, n, at: position.streamSeq })
  }

  /** One event per conversation, and one user's marker. */
  return async (turns = 1): Promise<void> => {
    for (const last = turn + turns; turn < last; turn++)
      await Promise.all(
        Array.from({ length: conversations }, async (_, i) => {
          const c = `chat-${i}`
          const from = users[(i + turn) % users.length] ?? ''
          const at = new Date(Date.UTC(2026, 0, 1) + turn * 1000 + i).toISOString()
          if (turn === 0) {
            const members = users.map(user => ({ user, role: user === from ? 'owner' : 'member' }) as const)
            const created = { t: 'event', c, seq: 1, at, from, type: 'conversation.created' } as const
            await append('conv', c, from, () => ({ ...created, kind: 'group', members, title: c }))
            return
          }
          await append(
            'conv',
            c,
            from,
            (seq, n) => ({
              t: 'event',
              c,
              seq,
              at,
              from,
              type: 'message.posted',
              m: `m-${n}`,
              n,
              text: `turn ${turn}`,
            }),
            true,
          )
          if (i % users.length !== turn % users.length) return
          const u = `${from}-${i}`
          await append('user', u, u, seq => ({ u, seq, at, type: 'read.marked', c, mark: turn }))
        }),
      )
  }
}
