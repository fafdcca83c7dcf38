import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Id, type Presence } from '../events/index.ts'
import { push } from './outbox.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'
import type { Signals } from './signals.ts'
import { Wire } from './wire.ts'

/** What edges tell each other of who is here. `edge` says it. */
const Announcement = Type.Union([
  Type.Object({ k: Type.Literal('edge'), edge: Id, gone: Type.Boolean() }),
  Type.Object({ k: Type.Literal('here'), edge: Id, user: Id, online: Type.Boolean() }),
  Type.Object({ k: Type.Literal('who'), edge: Id, users: Type.Array(Id) }),
  Type.Object({ k: Type.Literal('these'), edge: Id, to: Id, users: Type.Array(Id) }),
])
type Announcement = Static<typeof Announcement>
const announcementCheck = TypeCompiler.Compile(Announcement)

const heartbeatMs = 5_000
const deadAfterMs = 16_000
/** How long to wait for the other edges' word on who is with them, ms. */
const askMs = 200

interface Question {
  readonly open: Set<string>
  readonly resolve: () => void
}

/**
 * Who is online, on any edge. Only what somebody here watches is kept: which edges have each watched user. Edges say when a user's first socket comes and its
 * last one goes, are asked when a watch starts, and say every few seconds that they live; one that stays silent has nobody any more.
 */
export class PresenceBoard {
  readonly #edge: string
  readonly #signals: Signals
  readonly #sessions: SessionRegistry
  /** Other edges, and when each was heard of last. */
  readonly #edges = new Map<string, number>()
  /** Watched users: who watches, and which other edges have them. */
  readonly #watched = new Map<string, { watchers: Set<Session>; edges: Set<string> }>()
  readonly #questions = new Set<Question>()
  readonly #timer: NodeJS.Timeout

  constructor(edge: string, signals: Signals, sessions: SessionRegistry) {
    this.#edge = edge
    this.#signals = signals
    this.#sessions = sessions
    this.#timer = setInterval(() => this.#beat(), heartbeatMs).unref()
    this.#announce({ k: 'edge', edge, gone: false })
  }

  cameOnline(user: string): void {
    this.#announce({ k: 'here', edge: this.#edge, user, online: true })
    this.#changedHere(user)
  }

  wentOffline(user: string): void {
    this.#announce({ k: 'here', edge: this.#edge, user, online: false })
    this.#changedHere(user)
  }

  /** The states of users as of now; a session goes on getting their changes, in place of those that it watched before. */
  async watch(users: readonly string[], session: Session | undefined): Promise<Record<string, Presence>> {
    const unknown = users.filter(user => !this.#watched.has(user))
    for (const user of users) {
      const entry = this.#watched.get(user) ?? { watchers: new Set(), edges: new Set() }
      this.#watched.set(user, entry)
      if (session !== undefined) entry.watchers.add(session)
    }
    if (session !== undefined) {
      this.#unwatch(session, user => !users.includes(user))
      session.watching = users
    }
    if (unknown.length > 0) await this.#ask(unknown)
    const states = Object.fromEntries(users.map(user => [user, this.#stateOf(user)]))
    if (session?.closed) this.unwatch(session)
    for (const user of users) this.#forgetUnwatched(user)
    return states
  }

  unwatch(session: Session): void {
    this.#unwatch(session, () => true)
    session.watching = undefined
  }

  /** Whether a signal was about presence. */
  heard(signal: unknown): boolean {
    if (!announcementCheck.Check(signal)) return false
    if (signal.edge === this.#edge) return true
    if (signal.k === 'edge' && signal.gone) {
      this.#died(signal.edge)
      return true
    }
    const known = this.#edges.has(signal.edge)
    this.#edges.set(signal.edge, performance.now())
    if (!known) this.#announce({ k: 'edge', edge: this.#edge, gone: false })
    switch (signal.k) {
      case 'here':
        this.#has(signal.edge, signal.user, signal.online)
        break
      case 'who':
        this.#announce({
          k: 'these',
          edge: this.#edge,
          to: signal.edge,
          users: signal.users.filter(user => this.#sessions.has(user)),
        })
        break
      case 'these':
        for (const user of signal.users) this.#has(signal.edge, user, true)
        if (signal.to === this.#edge)
          for (const question of this.#questions) this.#answered(question, signal.edge)
        break
    }
    return true
  }

  close(): void {
    clearInterval(this.#timer)
    this.#announce({ k: 'edge', edge: this.#edge, gone: true })
  }

  #announce(announcement: Announcement): void {
    this.#signals.publish('user' in announcement ? announcement.user : this.#edge, announcement)
  }

  #stateOf(user: string): Presence {
    return this.#sessions.has(user) || (this.#watched.get(user)?.edges.size ?? 0) > 0 ? 'online' : 'offline'
  }

  #has(edge: string, user: string, online: boolean): void {
    const entry = this.#watched.get(user)
    if (entry === undefined) return
    const before = this.#stateOf(user)
    if (online) entry.edges.add(edge)
    else entry.edges.delete(edge)
    if (this.#stateOf(user) !== before) this.#tell(user)
  }

  /** Whoever is on another edge too stays online. */
  #changedHere(user: string): void {
    if (this.#watched.get(user)?.edges.size === 0) this.#tell(user)
  }

  #tell(user: string): void {
    const entry = this.#watched.get(user)
    if (entry === undefined || entry.watchers.size === 0) return
    const wire = Wire.of({ t: 'signal', type: 'presence', user, state: this.#stateOf(user) })
    for (const session of entry.watchers) push(session, wire.frame(session.encoding))
  }

  #ask(users: readonly string[]): Promise<void> {
    if (this.#edges.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      const question = { open: new Set(this.#edges.keys()), resolve }
      this.#questions.add(question)
      setTimeout(() => this.#settle(question), askMs)
      this.#announce({ k: 'who', edge: this.#edge, users: [...users] })
    })
  }

  #answered(question: Question, edge: string): void {
    question.open.delete(edge)
    if (question.open.size === 0) this.#settle(question)
  }

  #settle(question: Question): void {
    this.#questions.delete(question)
    question.resolve()
  }

  #unwatch(session: Session, ends: (user: string) => boolean): void {
    for (const user of session.watching ?? []) {
      if (!ends(user)) continue
      this.#watched.get(user)?.watchers.delete(session)
      this.#forgetUnwatched(user)
    }
  }

  #forgetUnwatched(user: string): void {
    if (this.#watched.get(user)?.watchers.size === 0) this.#watched.delete(user)
  }

  #died(edge: string): void {
    this.#edges.delete(edge)
    for (const user of this.#watched.keys()) this.#has(edge, user, false)
    for (const question of this.#questions) this.#answered(question, edge)
  }

  #beat(): void {
    this.#announce({ k: 'edge', edge: this.#edge, gone: false })
    const now = performance.now()
    for (const [edge, heard] of this.#edges) if (now - heard > deadAfterMs) this.#died(edge)
  }
}
