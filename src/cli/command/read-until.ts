import type { Nats } from '../../infra/nats/index.ts'
import { CliError } from './cli-error.ts'

/** How long a command that reads the log waits for servers that went away, ms. */
const patienceMs = 30_000

/** What `batches` brings, until `signal` aborts: then it ends, whatever it waits for. Throws CliError NO_SERVER when NATS stays away. */
export async function* readUntil<T>(
  batches: AsyncIterable<T>,
  signal: AbortSignal,
  nats: Pick<Nats, 'onChange'>,
): AsyncIterable<T> {
  // Not Promise.race with one promise that stays pending: that would hold every batch for as long as it does.
  let waiting: PromiseWithResolvers<IteratorResult<T>> | undefined
  let end: ((wanted: PromiseWithResolvers<IteratorResult<T>>) => void) | undefined
  const endBy = (how: typeof end): void => {
    end ??= how
    if (waiting !== undefined) end?.(waiting)
  }
  const onAbort = (): void => endBy(({ resolve }) => resolve({ done: true, value: undefined }))
  let timer: NodeJS.Timeout | undefined
  const unlisten = nats.onChange(isConnected => {
    clearTimeout(timer)
    if (isConnected) return
    timer = setTimeout(() => {
      const away = `NATS has been away for ${patienceMs / 1000} s; run the command again when it is back`
      endBy(({ reject }) => reject(new CliError('NO_SERVER', away)))
    }, patienceMs)
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
