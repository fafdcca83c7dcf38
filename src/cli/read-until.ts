import type { Nats } from '../infra/nats/index.ts'
import { CliError } from './cli-error.ts'

/** How long a command that reads the log waits for servers that went away, ms. */
const patienceMs = 30_000

/** What `batches` brings, until `signal` aborts: then it ends, whatever it waits for. Throws CliError NO_SERVER when NATS stays away. */
export async function* readUntil<T>(
  batches: AsyncIterable<T>,
  signal: AbortSignal,
  nats: Pick<Nats, 'onChange'>,
): AsyncIterable<T> {
  const aborted = Promise.withResolvers<IteratorReturnResult<undefined>>()
  const end = (): void => aborted.resolve({ done: true, value: undefined })
  let timer: NodeJS.Timeout | undefined
  const unlisten = nats.onChange(isConnected => {
    clearTimeout(timer)
    if (isConnected) return
    timer = setTimeout(() => {
      const away = `NATS has been away for ${patienceMs / 1000} s; run the command again when it is back`
      aborted.reject(new CliError('NO_SERVER', away))
    }, patienceMs)
  })
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    const iterator = batches[Symbol.asyncIterator]()
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted.promise])
      if (next.done === true) return
      yield next.value
    }
  } finally {
    clearTimeout(timer)
    unlisten()
    signal.removeEventListener('abort', end)
    aborted.promise.catch(() => {})
  }
}
