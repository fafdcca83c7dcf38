import type { StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { apiSubject } from '../client/jetstream-api.ts'
import type { AccountStorage } from './log-storage.ts'

/** How fast a stream grows. */
export interface StreamGrowth {
  /** Messages per second in the last minute. */
  readonly perSecond: number
  /** Messages and bytes per day, from those of the last 24 hours. */
  readonly messagesPerDay: number
  readonly bytesPerDay: number
}

/** The limit that a stream reaches first when it grows on as in the last 24 hours. */
export interface Forecast {
  readonly limit: 'max_msgs' | 'max_bytes' | 'storage'
  readonly days: number
}

/** The storage of the account, and the bytes per day that all streams add to it. */
export interface GrowingStorage {
  readonly account: AccountStorage
  readonly bytesPerDay: number
}

const minuteMs = 60_000
const dayMs = 86_400_000
const timeoutMs = 1_000

interface Found {
  readonly seq: number
  /** ms since 1970. */
  readonly at: number
}

/** Returns the first message that was stored at or after a time; undefined for none. Any replica answers. */
const firstSince = async (
  connection: NatsConnection,
  stream: string,
  since: number,
): Promise<Found | undefined> => {
  const request = { start_time: new Date(since).toISOString(), next_by_subj: '>', batch: 1 }
  const answer = await connection.request(apiSubject('DIRECT.GET', stream), JSON.stringify(request), {
    timeout: timeoutMs,
  })
  const seq = Number(answer.headers?.get('Nats-Sequence'))
  const at = Date.parse(answer.headers?.get('Nats-Time-Stamp') ?? '')
  return seq > 0 && at > 0 ? { seq, at } : undefined
}

/** Measures the growth of a stream. Undefined when no replica answers, or the stream permits no direct get. */
export const growthOf = async (
  connection: NatsConnection,
  { config, state }: StreamInfo,
): Promise<StreamGrowth | undefined> => {
  if (config.allow_direct !== true) return undefined
  const now = Date.now()
  const { messages, bytes, last_seq } = state
  try {
    const [minute, day] = await Promise.all(
      [minuteMs, dayMs].map(span => firstSince(connection, config.name, now - span)),
    )
    const inLastMinute = minute === undefined ? 0 : last_seq - minute.seq + 1
    // A younger stream is measured from its first message on, but over at least a minute.
    const elapsedMs = day === undefined ? dayMs : Math.min(dayMs, Math.max(minuteMs, now - day.at))
    const messagesPerDay = day === undefined ? 0 : ((last_seq - day.seq + 1) / elapsedMs) * dayMs
    return {
      perSecond: inLastMinute / (minuteMs / 1_000),
      messagesPerDay,
      bytesPerDay: messages === 0 ? 0 : (messagesPerDay * bytes) / messages,
    }
  } catch {
    return undefined
  }
}

/** Returns the limit that a stream reaches first; undefined when it grows towards none. */
export const forecastOf = (
  { config, state }: Pick<StreamInfo, 'config' | 'state'>,
  { messagesPerDay, bytesPerDay }: Pick<StreamGrowth, 'messagesPerDay' | 'bytesPerDay'>,
  storage: GrowingStorage | undefined,
): Forecast | undefined => {
  const forecasts: Forecast[] = []
  const reach = (limit: Forecast['limit'], left: number, perDay: number): void => {
    if (perDay > 0) forecasts.push({ limit, days: Math.max(0, left) / perDay })
  }
  // A stream that drops its oldest messages is never full.
  if (config.discard === 'new') {
    if (config.max_msgs > 0) reach('max_msgs', config.max_msgs - state.messages, messagesPerDay)
    if (config.max_bytes > 0) reach('max_bytes', config.max_bytes - state.bytes, bytesPerDay)
  }
  if (storage !== undefined) reach('storage', storage.account.free, storage.bytesPerDay)
  return forecasts.sort((one, other) => one.days - other.days)[0]
}
