/** The same values, the next one being fetched while the last is worked on. The source has to end by itself once nobody wants more. */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T, void> {
  const iterator = source[Symbol.asyncIterator]()
  let next = iterator.next()
  for (;;) {
    const { done, value } = await next
    if (done) return
    next = iterator.next()
    // Thrown where it is awaited, if anybody still comes for it.
    next.catch(() => {})
    yield value
  }
}
