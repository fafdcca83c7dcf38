import type { TemplatedApp } from 'uWebSockets.js'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import {
  type ConversationView,
  type EventLog,
  type LiveEvent,
  type LiveFeed,
  oneEpoch,
  type StateReader,
} from '../../src/commands/index.ts'
import { Memberships } from '../../src/edge/access/memberships.ts'
import { ViewPositions } from '../../src/edge/access/view-freshness.ts'
import { CatchUp } from '../../src/edge/catch-up/catch-up.ts'
import { ConversationReader } from '../../src/edge/catch-up/conversation-reader.ts'
import { LostEvents } from '../../src/edge/catch-up/lost-events.ts'
import { SharedReads } from '../../src/edge/catch-up/shared-reads.ts'
import { decodeCursor, encodeCursor } from '../../src/edge/catch-up/stream-cursor.ts'
import { FanOut } from '../../src/edge/delivery/fan-out.ts'
import { LiveEvents } from '../../src/edge/delivery/live-events.ts'
import type { Encoding, Frame } from '../../src/edge/sessions/frames.ts'
import { Session, type Transport } from '../../src/edge/sessions/session.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import { WriteRoom } from '../../src/edge/sessions/slow-consumers.ts'
import { Family, type StoredEvent, type StreamPosition } from '../../src/events/index.ts'
import type { TimelineQueries, Views } from '../../src/projections/index.ts'

const streams = ['CONV_0', 'CONV_1'] as const
const conversations = ['tea', 'milk', 'rum', 'gin']
const streamOf = (c: string) => streams[conversations.indexOf(c) % 2]!
const big = 'x'.repeat(600)

/** A client that reads only when the test calls `read`. */
class Client implements Transport {
  readonly session: Session
  readonly frames: { id?: string; data: Record<string, unknown> }[] = []
  readonly #unread: Frame[] = []
  readonly #moved: (session: Session) => void

  constructor(encoding: Encoding, user: string, moved: (session: Session) => void) {
    this.session = new Session(encoding, undefined, 0)
    this.session.ws = this
    this.session.user = user
    this.session.phase = 'open'
    this.#moved = moved
  }

  read(): void {
    for (const frame of this.#unread.splice(0)) {
      const text = typeof frame === 'string' ? frame : Buffer.from(frame).toString()
      if (this.session.encoding !== 'sse') this.frames.push({ data: JSON.parse(text) })
      else {
        const [, id, data = '{}'] = /^(?:id: (\S+)\n)?data: (.*)\n\n$/.exec(text) ?? []
        this.frames.push({ ...(id === undefined ? {} : { id }), data: JSON.parse(data) })
      }
    }
    this.#moved(this.session)
  }

  send(frame: Frame): number {
    this.#unread.push(frame)
    return 1
  }

  cork(send: () => void): void {
    send()
  }

  getBufferedAmount(): number {
    return this.#unread.reduce((sum, frame) => sum + frame.length, 0)
  }

  subscribe(): void {}
  unsubscribe(): void {}

  end(code: number): void {
    throw new Error(`closed with ${code}`)
  }
}

/** An edge node of one user. The log, the state, the live feed, the timeline and the roster advance separately. */
class World {
  readonly log = new Map<string, StoredEvent[]>(streams.map(stream => [stream, []]))
  readonly clients: { client: Client; from: Map<string, number> }[] = []
  readonly problems: string[] = []
  readonly #delivered = new Map<string, number>(streams.map(stream => [stream, 0]))
  readonly #sessions = new SessionRegistry()
  readonly #writeRoom = new WriteRoom(2_000, 60_000)
  readonly #memberships: Memberships
  readonly #catchUp: CatchUp
  readonly #live: LiveEvents
  readonly #fanOut: FanOut
  #timelineLag = 0

  positions(): StreamPosition[] {
    return streams.map(stream => ({
      family: Family.conversation,
      stream,
      streamSeq: this.#delivered.get(stream)!,
    }))
  }

  constructor(resumeBuffer: number, cacheBytes: number) {
    const feed = {
      position: stream => this.#delivered.get(stream),
      positions: () => this.positions(),
    } as Partial<LiveFeed> as LiveFeed
    const states = {
      conversation: (c: string) => (Math.random() < 0.5 ? this.#view(c) : turn().then(() => this.#view(c))),
      currentConversation: async (c: string) => this.#view(c),
    } as Partial<StateReader> as StateReader
    const views = {
      roster: { conversationsOf: async () => ({ conversations, positions: [] }) },
      positions: async () => [],
    } as unknown as Views
    const logger = { debug() {}, info() {}, warn: this.#note, error: this.#note }
    this.#memberships = new Memberships(
      { views, positions: new ViewPositions(views), feed },
      { bound: 1_000, waitMs: 1_000 },
    )
    for (const stream of streams) this.#memberships.saw({ stream, streamSeq: 1 }, undefined)
    const eventLog = {
      read: (aggregate: { id: string }, after: number) => this.#read(aggregate.id, after),
      last: async (aggregate: { id: string }) => this.eventsOf(aggregate.id).at(-1),
    } as unknown as EventLog
    const reader = new ConversationReader(this.#timeline(), eventLog, 10_000)
    this.#fanOut = new FanOut({} as TemplatedApp, this.#sessions, { topicFrom: 1_000, checkBytes: 1e6 })
    this.#catchUp = new CatchUp(
      {
        lostEvents: new LostEvents(oneEpoch, eventLog),
        states,
        feed,
        memberships: this.#memberships,
        reader,
        reads: new SharedReads(reader, cacheBytes, () => {}),
        fanOut: this.#fanOut,
        writeRoom: this.#writeRoom,
        logger,
        onResumed() {},
      },
      { resumes: 2, userResumes: 2, resumeBuffer, resumeConversations: 100, rosterWaitMs: 60_000 },
    )
    this.#live = new LiveEvents({
      fanOut: this.#fanOut,
      sessions: this.#sessions,
      memberships: this.#memberships,
      catchUp: this.#catchUp,
      slowConsumers: { holdPressed() {} },
      marks: { concern: () => false, moved: async () => {} },
      audience: {
        concerns: () => false,
        blocked() {},
        unblocked() {},
        changed() {},
        left: async () => {},
      },
      metrics: { delivered() {} } as never,
      logger,
    })
  }

  readonly #note = (fields: object, message: string): void => {
    this.problems.push(`${message} ${JSON.stringify(fields)}`)
  }

  eventsOf(c: string): StoredEvent[] {
    return this.log.get(streamOf(c))!.filter(({ aggregate }) => aggregate.id === c)
  }

  append(c: string, isKnown: boolean): void {
    const stream = streamOf(c)
    const events = this.log.get(stream)!
    const seq = this.eventsOf(c).length + 1
    const type = isKnown ? 'message.posted' : 'message.pinned'
    const body = { t: 'event', c, seq, type, from: 'alice', at: '2026-11-24T02:30:43.123Z', text: big }
    events.push({
      aggregate: { family: 'conv', id: c },
      stream,
      streamSeq: events.length + 1,
      envelope: { type, version: 1, seq, n: seq, actor: 'alice', commandId: `${c}${seq}`, epoch: 1 },
      data: Buffer.from(JSON.stringify(body)),
    })
  }

  /** Delivers one event of each stream, where there is one. */
  deliver(): void {
    for (const stream of streams) {
      const event = this.log.get(stream)![this.#delivered.get(stream)!]
      if (event === undefined) continue
      this.#delivered.set(stream, event.streamSeq)
      this.#live.listen({ ...event, type: event.envelope.type } as LiveEvent)
    }
  }

  /** The timeline lacks this many of the newest events. */
  lag(events: number): void {
    this.#timelineLag = events
  }

  connect(encoding: Encoding, behind: number): void {
    const client = new Client(encoding, 'bob', session => this.#writeRoom.moved(session))
    const from = new Map<string, number>()
    this.clients.push({ client, from })
    if (encoding === 'sse') {
      const cursor = new Map<string, number>()
      for (const stream of streams) cursor.set(stream, Math.max(0, this.log.get(stream)!.length - behind))
      for (const c of conversations)
        from.set(c, this.eventsOf(c).filter(e => e.streamSeq <= cursor.get(streamOf(c))!).length)
      void this.#catchUp.resumeStream(
        client.session,
        decodeCursor(encodeCursor(cursor), this.positions()),
        1,
        joined => {
          this.#sessions.opened(client.session)
          this.#fanOut.subscribeAll(client.session, joined)
        },
      )
      return
    }
    this.#sessions.opened(client.session)
    for (const c of conversations) from.set(c, Math.max(0, this.eventsOf(c).length - behind))
    void this.#catchUp.resume(client.session, Object.fromEntries(from))
  }

  /** Lets everything finish, and returns what is wrong. */
  async end(): Promise<string | undefined> {
    for (let quiet = 0, frames = -1; quiet < 5; ) {
      this.deliver()
      for (const { client } of this.clients) client.read()
      await new Promise(resolve => setTimeout(resolve, 4))
      const now = this.clients.reduce((sum, { client }) => sum + client.frames.length, 0)
      const isDone = this.clients.every(({ client }) => this.#isLevel(client))
      quiet = now === frames && isDone ? quiet + 1 : 0
      frames = now
      if (performance.now() > this.#deadline) return this.#stuck()
    }
    this.#memberships.close()
    return this.problems[0] ?? this.clients.map(one => this.#problemOf(one)).find(Boolean)
  }

  readonly #deadline = performance.now() + 15_000

  #isLevel(client: Client): boolean {
    return (
      streams.every(stream => this.#delivered.get(stream) === this.log.get(stream)!.length) &&
      this.#sessions.of('bob').includes(client.session) &&
      client.session.catchingUp === undefined
    )
  }

  #stuck(): string {
    this.#memberships.close()
    return `stuck: ${this.problems}, ${this.clients.map(({ client }) => [...(client.session.catchingUp ?? [])])}`
  }

  #problemOf({ client, from }: { client: Client; from: Map<string, number> }): string | undefined {
    const last = new Map(from)
    let cursor = new Map<string, number>()
    for (const { id, data } of client.frames) {
      const c = data.c as string
      if (data.t === 'refetch') return JSON.stringify(data)
      if (data.t === 'synced' && data.seq !== last.get(c))
        return `${JSON.stringify(data)}, ${last.get(c)} sent`
      if (data.t !== 'event') continue
      if (data.seq !== last.get(c)! + 1)
        return `${client.session.encoding} ${c}: ${data.seq} after ${last.get(c)}`
      last.set(c, data.seq as number)
      if (client.session.encoding !== 'sse') continue
      const next = decodeCursor(id ?? '', this.positions())
      const { streamSeq } = this.eventsOf(c)[(data.seq as number) - 1]!
      if (next.get(streamOf(c)) !== streamSeq) return `${c} ${data.seq}: id ${id}`
      for (const [stream, seq] of cursor)
        if (next.get(stream)! < seq) return `${id} after ${encodeCursor(cursor)}`
      cursor = next
    }
    for (const c of conversations)
      if (last.get(c) !== this.eventsOf(c).length)
        return `${client.session.encoding} ${c}: ends at ${last.get(c)}`
    if (client.session.encoding !== 'sse')
      for (const c of conversations)
        if (client.frames.filter(({ data }) => data.t === 'synced' && data.c === c).length !== 1)
          return `${c}: not synced once`
    return undefined
  }

  #view(c: string): ConversationView | undefined {
    const events = this.eventsOf(c)
    const last = events.at(-1)
    if (last === undefined) return undefined
    return {
      c,
      kind: 'group',
      head: events.length,
      stream: last.stream,
      streamSeq: last.streamSeq,
      roleOf: () => 'member',
    } as Partial<ConversationView> as ConversationView
  }

  async *#read(c: string, after: number): AsyncIterable<readonly StoredEvent[]> {
    for (let position = after; ; ) {
      await turn()
      const batch = this.eventsOf(c)
        .filter(({ streamSeq }) => streamSeq > position)
        .slice(0, 3)
      if (batch.length === 0) return
      position = batch.at(-1)!.streamSeq
      yield batch
    }
  }

  /** Holds the events whose type is known, but the newest ones. */
  #timeline(): TimelineQueries {
    const held = new Map<string, number>()
    const rows = (c: string) => {
      const events = this.eventsOf(c)
      held.set(c, Math.max(held.get(c) ?? 0, events.length - this.#timelineLag))
      return events
        .slice(0, held.get(c))
        .filter(({ envelope }) => envelope.type === 'message.posted')
        .map(({ envelope, streamSeq, data }) => ({ seq: envelope.seq, streamSeq, data }))
    }
    return {
      head: async (c: string) => {
        await turn()
        return rows(c).at(-1)
      },
      page: async (c: string, range: { after?: number; before?: number; limit: number }) => {
        await turn()
        const { after = 0, before = Number.POSITIVE_INFINITY } = range
        const found = rows(c).filter(({ seq }) => seq > after && seq < before)
        return range.after === undefined ? found.slice(-range.limit) : found.slice(0, range.limit)
      },
    } as Partial<TimelineQueries> as TimelineQueries
  }
}

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      c: fc.constantFrom(...conversations),
      count: fc.integer({ min: 1, max: 6 }),
      isKnown: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 10 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('turn' as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('read' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lag' as const), events: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('connect' as const),
      encoding: fc.constantFrom<Encoding>('json', 'sse'),
      behind: fc.nat(20),
    }),
  },
)

t.test('every session gets what it missed, then what is live: each event once, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 40 }),
      fc.constantFrom(1, 4, 100),
      fc.constantFrom(0, 4_000, 1e6),
      async (actions, resumeBuffer, cacheBytes) => {
        const world = new World(resumeBuffer, cacheBytes)
        for (const c of conversations) world.append(c, true)
        for (const one of actions) {
          if (one.type === 'append') for (let n = 0; n < one.count; n++) world.append(one.c, one.isKnown)
          else if (one.type === 'deliver') for (let n = 0; n < one.count; n++) world.deliver()
          else if (one.type === 'turn') for (let n = 0; n < one.count; n++) await turn()
          else if (one.type === 'read') for (const { client } of world.clients) client.read()
          else if (one.type === 'lag') world.lag(one.events)
          else world.connect(one.encoding, one.behind)
        }
        const problem = await world.end()
        if (problem !== undefined) throw new Error(problem)
      },
    ),
    { numRuns: 150 },
  )
})
