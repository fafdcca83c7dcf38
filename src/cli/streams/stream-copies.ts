import type { StreamStatus } from '../../infra/nats/index.ts'
import { count, span } from '../terminal/output.ts'

/** Copies of a stream that are current, of all: `2/3`. */
export const copiesText = ({ replicas, isLed, copies }: StreamStatus): string => {
  if (replicas === 0) return '–'
  const current = copies.length === 0 ? Number(isLed) : copies.filter(one => one.state === 'current').length
  return `${current}/${replicas}`
}

/** Why copies of a stream are not current; undefined where all are. */
export const copiesAway = ({ drift, isLed, copies }: StreamStatus): string | undefined => {
  if (drift.includes('missing')) return undefined
  const told = copies
    .filter(({ state }) => state !== 'current')
    .map(({ server, state, silentMs, lag }) =>
      state === 'away' ? `${server} away for ${span(silentMs)}` : `${server} ${count(lag)} behind`,
    )
  if (!isLed) told.unshift('no leader')
  return told.length === 0 ? undefined : told.join(', ')
}

/** What to do about copies that somebody has to look after; undefined where there are none. One that is behind comes after by itself. */
export const copiesAdvice = ({ drift, isLed, copies }: StreamStatus): string | undefined => {
  if (drift.includes('missing')) return undefined
  const away = copies.filter(({ state }) => state === 'away').map(({ server }) => server)
  const servers = away.length === 0 ? 'the NATS servers that are down' : `NATS server ${away.join(', ')}`
  if (!isLed) return `start ${servers}: nothing can be stored until most of a stream's copies are there`
  return away.length === 0 ? undefined : `start ${servers}, or see its log; the others go on meanwhile`
}
