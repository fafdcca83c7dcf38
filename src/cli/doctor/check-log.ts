import type { OpenNats } from '../../app/open-nats.ts'
import { operatorText } from '../../events/index.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import {
  asRightsError,
  loadStreams,
  NatsError,
  NatsProblem,
  type StreamStatus,
  streamsStatus,
} from '../../infra/nats/index.ts'
import { allViews, type GenerationRow } from '../projections/index.ts'
import { copiesAdvice, copiesAway, copiesText } from '../streams/status.ts'
import { count } from '../terminal/output.ts'
import { damageAdvice, type Finding, hint, ill, well } from './findings.ts'

const findingOf = (stream: StreamStatus): Finding => {
  const { drift, messages } = stream
  const what = `stream ${stream.stream}`
  if (drift.length > 0)
    return ill(what, `differs from its definition: ${drift.join(', ')}`, 'run "confab streams apply"')
  const away = copiesAway(stream)
  if (away === undefined) return well(what, `${count(messages)} messages`)
  const advice = copiesAdvice(stream)
  const detail = `${copiesText(stream)} copies are current: ${away}`
  return advice === undefined
    ? hint(what, detail, 'normal for a while after a restart')
    : ill(what, detail, advice)
}

/** Checks that the streams match their definitions, and that all replicas are current. */
export const checkStreams = async (
  { natsReplicas }: ConfabConfig,
  system: OpenNats,
): Promise<readonly Finding[]> => {
  try {
    const streams = await streamsStatus(system.nats, loadStreams({ replicas: natsReplicas }))
    return streams.map(findingOf)
  } catch (error) {
    return [ill('streams', operatorText(error), 'see the message')]
  }
}

/** Whether a worker builds a generation, or tries to. */
const hasWorker = ({ workers, state }: GenerationRow): boolean => workers.length > 0 || state === 'failing'

/** Reports the views and streams that no worker reads. */
const withoutWorker = (rows: readonly GenerationRow[], isInUse: boolean): Finding[] => {
  const found = (views: string, what: string): Finding =>
    isInUse
      ? ill(
          what,
          `no process builds ${views}`,
          'start "confab serve" with the role "projections", or see its log',
        )
      : hint(what, `no process builds ${views}`, 'normal while no server runs')
  const whole = rows.filter(row => !hasWorker(row))
  const parts = rows.flatMap(({ projection, streams, workers }) => {
    if (workers.length === 0) return []
    const left = streams.filter(({ worker }) => worker === undefined).map(({ stream }) => stream)
    return left.length === 0 ? [] : [found(`it from ${left.join(', ')}`, `projection ${projection}`)]
  })
  const names = whole.map(({ projection }) => projection)
  return [...(names.length === 0 ? [] : [found(names.join(', '), 'projections')]), ...parts]
}

/**
 * Whether a generation is no longer updated because its successor is being built: workers build no generation of
 * another version than theirs.
 */
const isSuperseded = (row: GenerationRow, all: readonly GenerationRow[]): boolean =>
  !hasWorker(row) &&
  all.some(one => one.projection === row.projection && one.role === 'building' && hasWorker(one))

const superseded = ({ projection }: GenerationRow): Finding =>
  hint(
    `projection ${projection}`,
    'not updated while its next generation is built',
    '"confab projections ls" shows the progress',
  )

/** Reports a generation that has applied events which the log does not hold; undefined for any other. */
const aheadOfLog = ({ projection, generation, streams }: GenerationRow): Finding | undefined => {
  // A worker of an older version does not report it.
  const ahead = streams.filter(({ aheadEvents = 0 }) => aheadEvents > 0)
  if (ahead.length === 0) return undefined
  const events = ahead.map(({ stream, aheadEvents }) => `${count(aheadEvents)} of ${stream}`)
  return ill(
    `projection ${projection}`,
    `generation ${generation} holds events that the log has lost: ${events.join(', ')}`,
    damageAdvice,
  )
}

/** Reports a generation that is not level with the log; undefined when it is level. */
const notLevel = ({ projection, state, reason, streams }: GenerationRow): Finding | undefined => {
  const what = `projection ${projection}`
  if (state === 'failing')
    return ill(
      what,
      `failing: ${reason ?? 'see the log'}`,
      'fix the cause; the projection then continues by itself',
    )
  if (state === 'paused') return hint(what, 'paused', `"confab projections resume ${projection}" resumes it`)
  const behind = streams.filter(({ lagEvents }) => lagEvents > 0)
  if (behind.length === 0) return undefined
  const lags = behind.map(({ stream, lagEvents }) => `${count(lagEvents)} events of ${stream}`)
  return hint(
    what,
    `${lags.join(', ')} behind`,
    'normal while it catches up; otherwise see the log of its worker',
  )
}

/** Checks that a worker builds each view that queries read. `isInUse`: servers run, so workers should run too. */
export const checkProjections = async (
  config: ConfabConfig,
  system: OpenNats,
  isInUse: boolean,
): Promise<readonly Finding[]> => {
  try {
    const rows = await allViews(config, system)
    if (rows === undefined)
      return [
        hint('projections', 'there are no views yet', 'a server with the role "projections" creates them'),
      ]
    const live = rows.filter(({ role }) => role === 'live')
    const findings = [
      ...rows.flatMap(row => aheadOfLog(row) ?? []),
      ...withoutWorker(
        live.filter(row => !isSuperseded(row, rows)),
        isInUse,
      ),
      ...live.filter(row => isSuperseded(row, rows)).map(superseded),
      ...live.filter(hasWorker).flatMap(row => notLevel(row) ?? []),
    ]
    return findings.length === 0
      ? [well('projections', 'all have workers and are level with the log')]
      : findings
  } catch (thrown) {
    const error = asRightsError(thrown)
    // The user of a server has no right to ask the workers.
    if (NatsError.is(error) && error.code === NatsProblem.rights)
      return [hint('projections', error.message, 'an operator may see them')]
    return [ill('projections', operatorText(error), 'see the message')]
  }
}
