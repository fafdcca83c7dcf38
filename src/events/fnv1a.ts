const offsetBasis = 0x811c9dc5
const prime = 0x01000193

/**
 * FNV-1a, 32 bits, of an ASCII string; ids are ASCII. NATS' `partition()` hashes subject tokens with the same function.
 * @see http://www.isthe.com/chongo/tech/comp/fnv/
 */
export const fnv1a32 = (ascii: string): number => {
  let hash = offsetBasis
  for (let i = 0; i < ascii.length; i++) hash = Math.imul(hash ^ ascii.charCodeAt(i), prime)
  return hash >>> 0
}
