import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { backoffMs } from '../base/backoff.ts'
import { tightenDataFolder } from '../base/private-files.ts'
import { hideUrlCredentials } from '../base/redact.ts'
import { sleep } from '../base/sleep.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import {
  connectNats,
  type Nats,
  type NatsOptions,
  type NatsServer,
  type NatsServerOptions,
  startNatsServer,
} from '../infra/nats/index.ts'

/** A connection to the NATS of a configuration: existing servers, or the embedded server of the data folder. */
export interface OpenNats {
  readonly nats: Nats
  readonly servers: readonly string[]
  readonly isEmbedded: boolean
  close(): Promise<void>
}

export interface OpenNatsOptions
  extends Pick<NatsServerOptions, 'onFetch' | 'signal'>,
    Pick<NatsOptions, 'onListenerError' | 'onRefusal'> {}

/** Between attempts to replace an embedded server that its process left behind. */
const takeOverBackoff = { firstMs: 100, maxMs: 2_000, jitter: 0 }

/**
 * Connects to the servers of a configuration, or to the embedded server of its data folder.
 *
 * The embedded server belongs to the first process on the folder; further processes connect to it. When the owner ends,
 * its server ends too, and one of the other processes starts a new server at the same address. Throws NatsError.
 */
export const openNats = async (
  config: Pick<ConfabConfig, 'data' | 'natsServers'> &
    Partial<Pick<ConfabConfig, 'natsPingMs' | 'natsInboxPrefix' | 'natsTls'>>,
  name: string,
  onNotice: (notice: string) => void,
  { onFetch, signal, onListenerError, onRefusal }: OpenNatsOptions = {},
): Promise<OpenNats> => {
  const clientOptions = {
    name,
    onNotice,
    ...(config.natsPingMs === undefined ? {} : { pingMs: config.natsPingMs }),
    ...(onListenerError === undefined ? {} : { onListenerError }),
    ...(onRefusal === undefined ? {} : { onRefusal }),
    inboxPrefix: config.natsInboxPrefix,
  }
  reportTightened(config.data, onNotice)
  if (config.natsServers !== undefined) {
    const nats = await connectNats({ servers: config.natsServers, tls: config.natsTls, ...clientOptions })
    return { nats, servers: config.natsServers, isEmbedded: false, close: () => nats.close() }
  }
  const options = { dataDir: config.data, onNotice, ...(onFetch === undefined ? {} : { onFetch }) }
  let server = await startNatsServer({ ...options, ...(signal === undefined ? {} : { signal }) })
  const { url } = server
  hideUrlCredentials(url)
  let nats: Nats
  try {
    nats = await connectNats({ servers: url, ...clientOptions })
  } catch (error) {
    await server.stop()
    throw error
  }

  const closing = new AbortController()
  const replaceServer = (): Promise<NatsServer> =>
    startNatsServer({ ...options, port: Number(new URL(url).port), signal: closing.signal })
  /** Ends when the connection is back, or when this process owns a server. Each attempt is followed by a timer. */
  const takeOver = async (): Promise<void> => {
    let failure = ''
    for (let attempts = 1; !closing.signal.aborted; attempts++) {
      if (server.isOurs || nats.connected()) return
      try {
        server = await replaceServer()
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        if (reason !== failure && !closing.signal.aborted) onNotice(reason)
        failure = reason
      }
      // The owner may have restarted its server: the client reconnects only while this function waits.
      if (!server.isOurs) await sleep(backoffMs(attempts, takeOverBackoff), closing.signal)
    }
  }
  let takingOver: Promise<void> | undefined
  nats.onChange(isConnected => {
    if (isConnected || server.isOurs || closing.signal.aborted) return
    takingOver ??= takeOver().finally(() => {
      takingOver = undefined
    })
  })
  return {
    nats,
    servers: [url],
    isEmbedded: true,
    close: async () => {
      closing.abort()
      await nats.close()
      await takingOver
      await server.stop()
    },
  }
}

/** Makes a data folder of earlier versions, or one whose modes were changed, private, and reports it. */
const reportTightened = (data: string, onNotice: (notice: string) => void): void => {
  const { changed, failed } = tightenDataFolder(data)
  if (changed > 0)
    onNotice(
      `other users could read ${changed} files and folders of ${data}: only this user can read them now`,
    )
  if (failed.length > 0)
    onNotice(
      `other users may read ${failed.length} files and folders of ${data}, such as ${failed[0]}: this process may not change their modes`,
    )
}

/** Whether a data folder holds an embedded log. */
export const hasEmbeddedLog = (data: string): boolean => existsSync(join(data, 'nats'))
