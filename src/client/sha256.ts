/** Incremental SHA-256, FIPS 180-4. Web Crypto needs all the data at once, and a secure origin. */
export class Sha256 {
  readonly #state = new Int32Array(initial)
  readonly #block = new Uint8Array(64)
  readonly #words = new Int32Array(64)
  #filled = 0
  #bytes = 0

  update(data: Uint8Array): this {
    this.#bytes += data.length
    let at = 0
    if (this.#filled > 0) {
      at = Math.min(64 - this.#filled, data.length)
      this.#block.set(data.subarray(0, at), this.#filled)
      this.#filled += at
      if (this.#filled < 64) return this
      this.#compress(this.#block, 0)
      this.#filled = 0
    }
    for (; at + 64 <= data.length; at += 64) this.#compress(data, at)
    this.#block.set(data.subarray(at))
    this.#filled = data.length - at
    return this
  }

  /** Returns the digest in hexadecimal; no data may follow. */
  digest(): string {
    const bits = this.#bytes * 8
    const rest = new Uint8Array(this.#filled < 56 ? 64 : 128)
    rest.set(this.#block.subarray(0, this.#filled))
    rest[this.#filled] = 0x80
    const view = new DataView(rest.buffer)
    view.setUint32(rest.length - 8, Math.floor(bits / 2 ** 32))
    view.setUint32(rest.length - 4, bits >>> 0)
    for (let at = 0; at < rest.length; at += 64) this.#compress(rest, at)
    return Array.from(this.#state, word => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #compress(data: Uint8Array, at: number): void {
    const w = this.#words
    for (let i = 0, j = at; i < 16; i++, j += 4)
      w[i] = (data[j]! << 24) | (data[j + 1]! << 16) | (data[j + 2]! << 8) | data[j + 3]!
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15]!
      const y = w[i - 2]!
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
      w[i] = w[i - 16]! + s0 + w[i - 7]! + s1
    }
    const state = this.#state
    let [a, b, c, d, e, f, g, h] = state as unknown as Eight
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + k[i]! + w[i]!) | 0
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + t1) | 0
      d = c
      c = b
      b = a
      a = (t1 + t2) | 0
    }
    const sums: Eight = [a, b, c, d, e, f, g, h]
    for (let i = 0; i < 8; i++) state[i] = state[i]! + sums[i]!
  }
}

type Eight = [number, number, number, number, number, number, number, number]

/** Returns the first 32 bits of the fractional parts of roots of the first primes. */
const primes = (count: number): number[] => {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every(prime => n % prime !== 0)) found.push(n)
  return found
}
const fraction = (root: number): number => ((root - Math.floor(root)) * 2 ** 32) | 0
const initial = primes(8).map(prime => fraction(Math.sqrt(prime)))
const k = Int32Array.from(primes(64), prime => fraction(Math.cbrt(prime)))
