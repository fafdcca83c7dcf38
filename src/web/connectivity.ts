import type { ConfabClient } from '../client/index.ts'

/** Pause between two pings, ms. */
const everyMs = 700
/** Time in which a ping has to be answered, ms. */
const answerMs = 700

/**
 * Whether the server answers, as far as the page can know. A dead network closes no socket, and the client finds out
 * after a heartbeat. While the page is visible, it pings often enough to find out within two seconds.
 */
export class Connectivity {
  readonly #client: ConfabClient
  readonly #changed: () => void
  #isAnswering = true
  /** The browser reported a change of the network, and no ping has been answered since. */
  #isInDoubt = false
  /** Identifies the ping in flight: answers to earlier ones count for nothing. */
  #turn = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(client: ConfabClient, changed: () => void) {
    this.#client = client
    this.#changed = changed
    client.on('state', () => this.#restart())
    addEventListener('offline', this.#onOffline)
    addEventListener('online', this.#onOnline)
    document.addEventListener('visibilitychange', this.#restart)
  }

  get isOnline(): boolean {
    return this.#client.state === 'open' && this.#isAnswering
  }

  /** Connects at once, also when the client still believes in its connection. */
  reconnect(): void {
    this.#client.reconnect()
  }

  close(): void {
    this.#stop()
    removeEventListener('offline', this.#onOffline)
    removeEventListener('online', this.#onOnline)
    document.removeEventListener('visibilitychange', this.#restart)
  }

  readonly #onOffline = (): void => {
    this.#set(false)
    this.#stop()
    // A server on this machine stays reachable without a network.
    this.#timer = setTimeout(() => void this.#ping(), everyMs)
  }

  readonly #onOnline = (): void => {
    this.#isInDoubt = true
    if (this.#client.state === 'open') this.#restart()
    else if (this.#client.state !== 'closed') this.reconnect()
  }

  readonly #restart = (): void => {
    this.#stop()
    if (this.#client.state !== 'open') {
      this.#isInDoubt = false
      this.#isAnswering = true
    } else if (document.visibilityState === 'visible') void this.#ping()
  }

  #stop(): void {
    this.#turn++
    clearTimeout(this.#timer)
  }

  async #ping(): Promise<void> {
    const turn = ++this.#turn
    this.#timer = setTimeout(() => this.#unanswered(), answerMs)
    const isAnswered = await this.#client.request('ping', {}).then(
      () => true,
      () => false,
    )
    // A lost connection changes the state, which stops the pings.
    if (turn !== this.#turn) return
    clearTimeout(this.#timer)
    if (isAnswered) {
      this.#isInDoubt = false
      this.#set(true)
    }
    this.#timer = setTimeout(() => void this.#ping(), everyMs)
  }

  #unanswered(): void {
    this.#set(false)
    if (this.#isInDoubt && navigator.onLine) this.reconnect()
  }

  #set(isAnswering: boolean): void {
    if (this.#isAnswering === isAnswering) return
    this.#isAnswering = isAnswering
    this.#changed()
  }
}
