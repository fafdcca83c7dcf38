import { type ConfabClient, RequestError, uuidV7 } from '../../client/index.ts'
import type { Presence } from '../../events/index.ts'
import { Call } from './call.ts'

/** The peer of a direct conversation. */
export interface Contact {
  readonly c: string
  readonly user: string
}

/** The contacts and the current call, updated by a client's signals. One listener is called after each change. */
export class Phone {
  readonly client: ConfabClient
  readonly #iceServers: RTCIceServer[]
  readonly presence = new Map<string, Presence>()
  contacts: readonly Contact[] = []
  /** The last call stays here when it is over. */
  call: Call | undefined
  /** Why a call failed. */
  problem: string | undefined
  #listener: () => void = () => {}

  constructor(client: ConfabClient, iceServers: RTCIceServer[]) {
    this.client = client
    this.#iceServers = iceServers
    client.on('hello', () => void this.#load())
    client.on('event', event => {
      if (event.type === 'conversation.created') void this.#load()
    })
    client.on('signal', signal => {
      if (signal.type === 'presence') this.presence.set(signal.user, signal.state)
      else if (signal.type === 'call') this.#hear(signal)
      this.changed()
    })
  }

  get me(): string {
    return this.client.user ?? ''
  }

  subscribe(listener: () => void): void {
    this.#listener = listener
  }

  readonly changed = (): void => this.#listener()

  /** Calls a user; creates a direct conversation if there is none. */
  async dial(user: string): Promise<void> {
    if (this.#isBusy) return
    this.problem = undefined
    try {
      const { c } = this.contacts.find(contact => contact.user === user) ?? (await this.client.direct(user))
      this.call = this.#newCall(uuidV7(), c, user, 'calling')
      this.changed()
      await this.call.dial()
    } catch (error) {
      this.problem = RequestError.is(error) ? error.message : String(error)
      this.changed()
    }
  }

  async pickUp(): Promise<void> {
    const { call } = this
    if (call?.phase !== 'ringing') return
    this.#tellOwnDevices(call, 'answered on another device')
    await call.pickUp()
  }

  decline(): void {
    const { call } = this
    if (call?.phase !== 'ringing') return
    this.#tellOwnDevices(call, 'declined on another device')
    call.hangUp('declined')
  }

  get #isBusy(): boolean {
    return this.call !== undefined && this.call.phase !== 'over'
  }

  #newCall(id: string, c: string, peer: string, phase: 'calling' | 'ringing'): Call {
    return new Call(
      {
        id,
        c,
        peer,
        iceServers: this.#iceServers,
        say: (kind, data, session) =>
          this.client.request('call', {
            c,
            to: peer,
            call: id,
            kind,
            ...(data === undefined ? {} : { data }),
            ...(session === undefined ? {} : { session }),
          }),
        changed: this.changed,
      },
      phase,
    )
  }

  /** Ends the ringing on the user's other devices. */
  #tellOwnDevices({ id, c }: Call, why: string): void {
    this.client.request('call', { c, to: this.me, call: id, kind: 'bye', data: why }).catch(() => {})
  }

  #hear(signal: Parameters<Parameters<typeof this.client.on<'signal'>>[1]>[0] & { type: 'call' }): void {
    const { c, user, call: id, kind, data = '', session } = signal
    // Without a session there is no peer to answer.
    if (session === undefined) return
    const { call } = this
    if (call?.id === id) {
      if (user !== this.me) call.hear(kind, data, session)
      // Another device of this user answered.
      else if (kind === 'bye' && call.phase === 'ringing') call.drop(data)
      return
    }
    if (kind !== 'offer') return
    // Both called each other: the call with the lower id wins.
    const isGlare = call?.phase === 'calling' && call.peer === user
    if (this.#isBusy && !(isGlare && id < call.id)) {
      if (!isGlare)
        this.client
          .request('call', { c, to: user, session, call: id, kind: 'bye', data: 'busy' })
          .catch(() => {})
      return
    }
    if (isGlare) call.drop('called back')
    const next = this.#newCall(id, c, user, 'ringing')
    this.call = next
    next.ring(data, session)
    if (isGlare) void next.pickUp()
  }

  async #load(): Promise<void> {
    try {
      const { items } = await this.client.request('inbox', { limit: 200 })
      this.contacts = items.flatMap(({ c, peer }) => (peer === undefined ? [] : [{ c, user: peer }]))
      this.changed()
      const users = this.contacts.map(({ user }) => user).slice(0, 200)
      if (users.length === 0) return
      const { states } = await this.client.request('presence', { users })
      for (const [user, state] of Object.entries(states)) this.presence.set(user, state)
      this.changed()
    } catch {
      // Repeated at the next hello.
    }
  }
}
