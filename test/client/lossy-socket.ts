/** The fate of an incoming frame: passed on, lost, duplicated, or delayed behind others. */
export type Fate = 'pass' | 'lose' | 'double' | 'late'

/**
 * A WebSocket that loses, duplicates and reorders incoming conversation events as `fate` decides; other frames pass.
 */
export const lossySocket = (fate: () => Fate): typeof WebSocket =>
  class LossySocket extends WebSocket {
    #late: MessageEvent[] = []
    #listener: ((event: MessageEvent) => void) | null = null

    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols)
      super.onmessage = event => this.#take(event)
    }

    override set onmessage(listener: ((event: MessageEvent) => void) | null) {
      this.#listener = listener
    }

    #take(event: MessageEvent): void {
      const what = String(event.data).startsWith('{"t":"event"') ? fate() : 'pass'
      if (what === 'late') {
        this.#late.push(event)
        return
      }
      if (what !== 'lose') this.#listener?.(event)
      if (what === 'double') this.#listener?.(event)
      if (what !== 'pass') return
      for (const late of this.#late.splice(0)) this.#listener?.(late)
    }
  }
