import type { CallKind } from '../../events/index.ts'

/**
 * Interval of repeating an offer until it is answered, ms: a signal may be lost, and a device may connect while it
 * rings.
 */
const againMs = 3_000
/** How long a call rings, ms. */
const ringMs = 45_000
/** A ringing device stops after this time without an offer, ms. */
const silenceMs = 3 * againMs
/** Maximum number of candidates that may arrive before their description. */
const earlyMost = 64

export interface CallOptions {
  readonly id: string
  readonly c: string
  readonly peer: string
  readonly iceServers: RTCIceServer[]
  /** Sends a signal to one session of the peer, or to all. Rejects when the server refuses it. */
  readonly say: (kind: CallKind, data?: string, session?: string) => Promise<unknown>
  readonly changed: () => void
}

/** `calling`: outgoing. `ringing`: incoming. Then `connecting`, `talking`, and `over`. */
export type CallPhase = 'calling' | 'ringing' | 'connecting' | 'talking' | 'over'

/** A call between two users, from either side: signals over confab, media from browser to browser. */
export class Call {
  readonly id: string
  readonly c: string
  readonly peer: string
  phase: CallPhase
  /** Why it ended. */
  ending: string | undefined
  local: MediaStream | undefined
  remote: MediaStream | undefined
  /** Start of the conversation, ms since 1970. */
  since = 0
  /** Whether the connection is interrupted; it may recover. */
  isShaky = false
  readonly #options: CallOptions
  /** The peer's session. */
  #session: string | undefined
  #offer: string | undefined
  #connection: RTCPeerConnection | undefined
  /** Own candidates until the peer's session is known, and the peer's candidates until their description arrives. */
  readonly #unsent: string[] = []
  readonly #early: string[] = []
  #timers: ReturnType<typeof setTimeout>[] = []

  constructor(options: CallOptions, phase: 'calling' | 'ringing') {
    this.#options = options
    this.id = options.id
    this.c = options.c
    this.peer = options.peer
    this.phase = phase
  }

  /** Calls the peer on all devices. */
  async dial(): Promise<void> {
    await this.#guard(async () => {
      const connection = await this.#connect()
      if (connection === undefined) return
      await connection.setLocalDescription()
      const { sdp } = connection.localDescription!
      await this.#options.say('offer', sdp)
      if (this.phase !== 'calling') return
      const again = setInterval(() => void this.#options.say('offer', sdp).catch(() => {}), againMs)
      this.#timers.push(
        again,
        setTimeout(() => this.hangUp('no answer'), ringMs),
      )
    })
  }

  /** Handles an offer of the peer, the first or a repeated one. */
  ring(offer: string, session: string): void {
    if (this.phase !== 'ringing') return
    this.#offer = offer
    this.#session = session
    this.#stopTimers()
    this.#timers.push(setTimeout(() => this.#end('missed'), silenceMs))
  }

  async pickUp(): Promise<void> {
    const offer = this.#offer
    if (this.phase !== 'ringing' || offer === undefined) return
    this.#move('connecting')
    await this.#guard(async () => {
      const connection = await this.#connect()
      if (connection === undefined) return
      await this.#describe(connection, { type: 'offer', sdp: offer })
      await connection.setLocalDescription()
      await this.#options.say('answer', connection.localDescription?.sdp, this.#session)
    })
  }

  /** Handles a signal from a session of the peer. */
  hear(kind: CallKind, data = '', session: string): void {
    if (this.phase === 'over') return
    if (kind === 'offer') this.ring(data, session)
    else if (kind === 'answer') void this.#answered(data, session)
    else if (this.#session !== undefined && this.#session !== session) return
    else if (kind === 'bye') this.#end(data || 'hung up')
    else this.#candidate(data)
  }

  /** Ends the call and sends the reason to the peer. */
  hangUp(why = 'hung up'): void {
    if (this.phase === 'over') return
    this.#options.say('bye', why, this.#session).catch(() => {})
    this.#end(why)
  }

  /** Ends the call on this device only. */
  drop(why: string): void {
    this.#end(why)
  }

  isOn(kind: 'audio' | 'video'): boolean {
    return this.#tracks(kind).some(track => track.enabled)
  }

  turn(kind: 'audio' | 'video', on: boolean): void {
    for (const track of this.#tracks(kind)) track.enabled = on
    this.#options.changed()
  }

  #tracks(kind: 'audio' | 'video'): MediaStreamTrack[] {
    return (this.local?.getTracks() ?? []).filter(track => track.kind === kind)
  }

  /** Opens camera and microphone and a connection that sends them; undefined when the call ended meanwhile. */
  async #connect(): Promise<RTCPeerConnection | undefined> {
    const media = await openMedia()
    if (this.phase === 'over') {
      for (const track of media.getTracks()) track.stop()
      return undefined
    }
    this.local = media
    const connection = new RTCPeerConnection({ iceServers: this.#options.iceServers })
    this.#connection = connection
    for (const track of media.getTracks()) connection.addTrack(track, media)
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate !== null) this.#tell(JSON.stringify(candidate))
    })
    connection.addEventListener('track', ({ streams: [stream] }) => {
      this.remote = stream
      this.#options.changed()
    })
    connection.addEventListener('connectionstatechange', () => this.#follow(connection))
    this.#options.changed()
    return connection
  }

  #follow({ connectionState }: RTCPeerConnection): void {
    if (this.phase === 'over') return
    if (connectionState === 'failed') {
      this.hangUp('no connection')
      return
    }
    this.isShaky = connectionState === 'disconnected'
    if (connectionState === 'connected' && this.phase === 'connecting') {
      this.since = Date.now()
      this.#move('talking')
    } else this.#options.changed()
  }

  async #answered(sdp: string, session: string): Promise<void> {
    const connection = this.#connection
    if (this.phase !== 'calling' || connection === undefined) {
      // Two devices answered at the same time: the first one has the call.
      if (session !== this.#session)
        this.#options.say('bye', 'answered on another device', session).catch(() => {})
      return
    }
    this.#session = session
    this.#stopTimers()
    this.#move('connecting')
    for (const candidate of this.#unsent.splice(0)) this.#tell(candidate)
    await this.#guard(() => this.#describe(connection, { type: 'answer', sdp }))
  }

  async #describe(connection: RTCPeerConnection, description: RTCSessionDescriptionInit): Promise<void> {
    await connection.setRemoteDescription(description)
    for (const candidate of this.#early.splice(0)) this.#candidate(candidate)
  }

  /** Sends a candidate at once when the peer's session is known. */
  #tell(candidate: string): void {
    if (this.#session === undefined) this.#unsent.push(candidate)
    else this.#options.say('candidate', candidate, this.#session).catch(() => {})
  }

  #candidate(data: string): void {
    const connection = this.#connection
    if (connection?.remoteDescription == null) {
      if (this.#early.length < earlyMost) this.#early.push(data)
      return
    }
    // An invalid candidate is one path less, not an error.
    connection.addIceCandidate(parsed(data)).catch(() => {})
  }

  async #guard(doing: () => Promise<unknown>): Promise<void> {
    try {
      await doing()
    } catch (error) {
      this.hangUp(error instanceof Error ? error.message : String(error))
    }
  }

  #move(phase: CallPhase): void {
    this.phase = phase
    this.#stopTimers()
    this.#options.changed()
  }

  #end(why: string): void {
    if (this.phase === 'over') return
    this.ending = why
    for (const track of this.local?.getTracks() ?? []) track.stop()
    this.#connection?.close()
    this.#move('over')
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
  }
}

const parsed = (data: string): RTCIceCandidateInit | undefined => {
  try {
    return JSON.parse(data) as RTCIceCandidateInit
  } catch {
    return undefined
  }
}

/** Opens camera and microphone, or the microphone alone when there is no camera. */
const openMedia = async (): Promise<MediaStream> => {
  const { mediaDevices } = navigator
  if (mediaDevices === undefined)
    throw new Error('this page has to be served over HTTPS or from this machine')
  try {
    return await mediaDevices.getUserMedia({ audio: true, video: true })
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== 'NotFoundError') throw error
    return await mediaDevices.getUserMedia({ audio: true })
  }
}
