/**
 * The epoch of a client's cursors. It rises to the server's epoch when the server has checked every cursor of the
 * earlier epoch: with `synced` or with `refetch`.
 */
export class CursorEpoch {
  #value: number
  #next: number
  /** Conversations whose cursors are not checked yet. */
  #unchecked = new Set<string>()

  constructor(value: number) {
    this.#value = value
    this.#next = value
  }

  get value(): number {
    return this.#value
  }

  /** The server of `epoch` checks the cursors of these conversations. */
  resumed(epoch: number, conversations: readonly string[]): void {
    this.#next = Math.max(this.#value, epoch)
    this.#unchecked = new Set(this.#next > this.#value ? conversations : [])
    this.#settle()
  }

  /** The server has checked the cursor of a conversation. */
  checked(c: string): void {
    if (this.#unchecked.delete(c)) this.#settle()
  }

  /** The epoch has risen, and the connected server has sent no event that is lost. */
  risen(epoch: number): void {
    this.#next = Math.max(this.#next, epoch)
    this.#settle()
  }

  #settle(): void {
    if (this.#unchecked.size === 0) this.#value = this.#next
  }
}
