import { setTimeout as sleep } from 'node:timers/promises'

/** How long a batch that is not full waits for more, ms. */
const patienceMs = 2

/**
 * From a batch that was not full to the next, ms. Messages touch the same few pages and words again and again, and a commit writes each of them once: with 10,000
 * a second in 50 conversations this takes a third off what a message costs.
 */
const pauseMs = 25

/**
 * Batches of about `most`, of a source that gives what it happens to have: a store writes many at once for little more than a few. Fetches ahead while a batch
 * is worked on. An empty batch, the stream's end, is waited for no longer than it takes, so that an event after a silence is passed on at once. The source has
 * to end by itself once nobody wants more.
 */
export async function* gatherBatches<T>(
  source: AsyncIterable<readonly T[]>,
  most: number,
): AsyncGenerator<readonly T[], void> {
  const iterator = source[Symbol.asyncIterator]()
  const take = () => {
    const taken = iterator.next()
    // Thrown where it is awaited, if anybody still comes for it.
    taken.catch(() => {})
    return taken
  }
  let next = take()
  for (;;) {
    const { done, value } = await next
    if (done) return
    next = take()
    let batch = value
    while (batch.length > 0 && batch.length < most) {
      const more = await Promise.race([next, sleep(patienceMs)])
      if (more === undefined || more.done || more.value.length === 0) break
      batch = batch.concat(more.value)
      next = take()
    }
    // What asks the log for more goes out on a later turn of the loop, and a store may hold the loop up until it is done.
    if (batch.length >= most) await sleep(1)
    yield batch
    if (batch.length > 0 && batch.length < most) await sleep(pauseMs)
  }
}
