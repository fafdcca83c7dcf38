import type { Nats } from '../../infra/nats/index.ts'
import { CliError } from './cli-error.ts'

/** Time that a command which reads the log waits for the NATS connection to return, ms. */
const reconnectTimeoutMs = 30_000

/**
 * Yields from `batches` until `signal` aborts, even while a batch is awaited. Throws CliError NO_SERVER when NATS stays
 * disconnected.
 */
export async function* readUntil<T>(
  batches: AsyncIterable<T>,
  signal: AbortSignal,
  nats: Pick<Nats, 'onChange'>,
): AsyncIterable<T> {
  // Promise.race with one long-lived promise would keep every batch in memory until that promise settles.
  let waiting: PromiseWithResolvers<IteratorResult<T>> | undefined
  let end: ((next: PromiseWithResolvers<IteratorResult<T>>) => void) | undefined
  const endWith = (settle: typeof end): void => {
    end ??= settle
    if (waiting !== undefined) end?.(waiting)
  }
  const onAbort = (): void => endWith(({ resolve }) => resolve({ done: true, value: undefined }))
  let timer: NodeJS.Timeout | undefined
  const unlisten = nats.onChange(isConnected => {
    clearTimeout(timer)
    if (isConnected) return
    timer = setTimeout(() => {
      const message = `no connection to NATS for ${reconnectTimeoutMs / 1000} s: run the command again when NATS is available`
      endWith(({ reject }) => reject(new CliError('NO_SERVER', message)))
    }, reconnectTimeoutMs)
  })
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    const iterator = batches[Symbol.asyncIterator]()
    for (;;) {
      waiting = Promise.withResolvers<IteratorResult<T>>()
      if (end === undefined) iterator.next().then(waiting.resolve, waiting.reject)
      else end(waiting)
      const next = await waiting.promise
      if (next.done === true) return
      yield next.value
    }
  } finally {
    clearTimeout(timer)
    unlisten()
    signal.removeEventListener('abort', onAbort)
  }
}
