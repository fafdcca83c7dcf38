/**
 * The bytes that a header `Range` asks for, from the first up to, not with, the second: RFC 9110, 14.2. Undefined when it asks for none, for several parts, or for what makes no sense: all of it is the
 * answer then. `none` when there are no such bytes.
 */
export const rangeOf = (
  header: string,
  size: number,
): { readonly from: number; readonly to: number } | 'none' | undefined => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header.trim()) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const from = Math.max(0, size - Number(last))
    return from === size ? 'none' : { from, to: size }
  }
  const from = Number(first)
  const to = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < from) return undefined
  return from >= size ? 'none' : { from, to }
}
