import type { OpenNats } from '../../app/open-nats.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { loadStreams, type StreamStatus, streamsStatus } from '../../infra/nats/index.ts'
import { allViews, type GenerationRow } from '../projections/index.ts'
import { copiesAdvice, copiesAway, copiesText } from '../streams.ts'
import { count } from '../terminal/output.ts'
import { type Finding, hint, ill, messageOf, well } from './findings.ts'

const findingOf = (stream: StreamStatus): Finding => {
  const { drift, messages } = stream
  const what = `stream ${stream.stream}`
  if (drift.length > 0) return ill(what, `not as defined: ${drift.join(', ')}`, 'run "confab streams apply"')
  const away = copiesAway(stream)
  if (away === undefined) return well(what, `${count(messages)} messages`)
  const advice = copiesAdvice(stream)
  const detail = `${copiesText(stream)} copies are current: ${away}`
  return advice === undefined
    ? hint(what, detail, 'normal for a while after a restart')
    : ill(what, detail, advice)
}

/** Whether the streams are as defined, and all of their copies there. */
export const checkStreams = async (
  { natsReplicas }: ConfabConfig,
  system: OpenNats,
): Promise<readonly Finding[]> => {
  try {
    const streams = await streamsStatus(system.nats.connection, loadStreams({ replicas: natsReplicas }))
    return streams.map(findingOf)
  } catch (error) {
    return [ill('streams', messageOf(error), 'see the message')]
  }
}

/** One that a worker has, though it may be in no state to feed it. */
const isFed = ({ workers, state }: GenerationRow): boolean => workers.length > 0 || state === 'failing'

/** Views that no worker feeds, in whole or in part. */
const unfed = (rows: readonly GenerationRow[], isInUse: boolean): Finding[] => {
  const found = (views: string, what: string): Finding =>
    isInUse
      ? ill(
          what,
          `no process feeds ${views}`,
          'start "confab serve" with the role "projections", or see its log',
        )
      : hint(what, `no process feeds ${views}`, 'normal while no server runs')
  const whole = rows.filter(row => !isFed(row))
  const parts = rows.flatMap(({ projection, streams, workers }) => {
    if (workers.length === 0) return []
    const left = streams.filter(({ worker }) => worker === undefined).map(({ stream }) => stream)
    return left.length === 0 ? [] : [found(`it from ${left.join(', ')}`, `projection ${projection}`)]
  })
  const names = whole.map(({ projection }) => projection)
  return [...(names.length === 0 ? [] : [found(names.join(', '), 'projections')]), ...parts]
}

/** Whether a view stands still since its next generation is built beside it: that of another version is not fed. */
const isSucceeded = (row: GenerationRow, all: readonly GenerationRow[]): boolean =>
  !isFed(row) && all.some(one => one.projection === row.projection && one.role === 'building' && isFed(one))

const succeeded = ({ projection }: GenerationRow): Finding =>
  hint(
    `projection ${projection}`,
    'stands still while its next generation is built',
    '"confab projections ls" shows how far that is',
  )

/** How a view that is fed stands; undefined where it is level. */
const notLevel = ({ projection, state, reason, streams }: GenerationRow): Finding | undefined => {
  const what = `projection ${projection}`
  if (state === 'failing')
    return ill(what, `failing: ${reason ?? 'see the log'}`, 'mend what is named; it goes on by itself')
  if (state === 'paused') return hint(what, 'paused', `"confab projections resume ${projection}" goes on`)
  const behind = streams.filter(({ lagEvents }) => lagEvents > 0)
  if (behind.length === 0) return undefined
  const told = behind.map(({ stream, lagEvents }) => `${count(lagEvents)} events of ${stream}`)
  return hint(what, `${told.join(', ')} behind`, 'normal while it catches up; else see the log of its worker')
}

/**
 * Whether somebody feeds the views that are read, and how they stand. `isInUse`: servers run, and so should who feeds
 * them.
 */
export const checkProjections = async (
  config: ConfabConfig,
  system: OpenNats,
  isInUse: boolean,
): Promise<readonly Finding[]> => {
  try {
    const rows = await allViews(config, system)
    if (rows === undefined)
      return [
        hint('projections', 'there are no views yet', 'a server with the role "projections" makes them'),
      ]
    const live = rows.filter(({ role }) => role === 'live')
    const findings = [
      ...unfed(
        live.filter(row => !isSucceeded(row, rows)),
        isInUse,
      ),
      ...live.filter(row => isSucceeded(row, rows)).map(succeeded),
      ...live.filter(isFed).flatMap(row => notLevel(row) ?? []),
    ]
    return findings.length === 0 ? [well('projections', 'all are fed, and level with the log')] : findings
  } catch (error) {
    return [ill('projections', messageOf(error), 'see the message')]
  }
}
