import { headers, nuid } from '@nats-io/transport-node'
import { otherAccountsPrefix } from '../client/inboxes.ts'
import type { OpenRegion } from './open-region.ts'
import { grantSubject, promisesStreamName, promisesSubject, remotePromises } from './promises-stream.ts'
import type { RegionFinding } from './region-finding.ts'
import { mirrorConsumerName, mirrorSubjectOf } from './region-streams.ts'

/** Prefix of the answers that a mirror receives from its home. */
const mirrorAnswers = '$JSC.R.'
/** Prefix of the confirmations of a mirror. */
const flowControl = '$JS.FC.'
/** Name of a consumer and of a node that no region has. */
const nobody = 'confab-doctor'

/** A message that has to pass from one region to another, or there and back. */
interface Probe {
  /** What fails without it. */
  readonly carries: string
  /** The pattern of the allow list of the spine. */
  readonly pattern: string
  /** The subject that arrives, and the region where it does. */
  readonly subject: string
  readonly receiver: OpenRegion
  readonly send: () => void
}

const probesOf = (from: OpenRegion, to: OpenRegion): Probe[] => {
  const { connection } = from.nats
  const domain = to.region.domain ?? ''
  const oneWay = (carries: string, pattern: string, subject: string): Probe => ({
    carries,
    pattern,
    subject,
    receiver: to,
    send: () => connection.publish(subject),
  })
  /** The answer has an error, and so nothing is changed: an answer is all that is expected. */
  const roundTrip = (
    carries: string,
    pattern: string,
    subject: string,
    prefix: string,
    options: Parameters<typeof connection.publish>[2] = {},
  ): Probe => {
    const reply = `${prefix}${nuid.next()}`
    return {
      carries,
      pattern,
      subject: reply,
      receiver: from,
      send: () => connection.publish(subject, '', { ...options, reply }),
    }
  }
  const ofPromises = [
    roundTrip(
      'reads of promises',
      '$JS.*.API.DIRECT.GET.PROMISES.>',
      remotePromises(domain, promisesSubject(to.region.name)),
      otherAccountsPrefix,
    ),
    roundTrip('grants of leases', 'grant.*.*', grantSubject(to.region.name, nobody), otherAccountsPrefix, {
      headers: refusedByAll(),
    }),
  ]
  if (from.region.isWitness) return []
  if (to.region.isWitness) return ofPromises
  return [
    oneWay(
      'the messages of mirrors',
      'mirror.*.*',
      mirrorSubjectOf(to.region.name, `${nobody}-${nuid.next()}`),
    ),
    oneWay(
      'the confirmations of mirrors (flow control)',
      '$JS.FC.>',
      `${flowControl}${nobody}.${nuid.next()}`,
    ),
    roundTrip(
      'requests of mirrors to continue (API reset)',
      '$JS.*.API.CONSUMER.RESET.> and $JSC.R.>',
      `$JS.${domain}.API.CONSUMER.RESET.${promisesStreamName}.${mirrorConsumerName(nobody)}`,
      mirrorAnswers,
    ),
    ...ofPromises,
  ]
}

/** Headers of a message that every stream refuses. */
const refusedByAll = () => {
  const refused = headers()
  refused.set('Nats-Expected-Stream', nobody)
  return refused
}

/** Time between two messages of a probe, ms: the interest of the receiver has to reach the sender's server first. */
const repeatMs = 100

const passes = ({ subject, receiver, send }: Probe, timeoutMs: number): Promise<boolean> =>
  new Promise(resolve => {
    const end = (isPassed: boolean): void => {
      clearInterval(repeated)
      clearTimeout(timeout)
      subscription.unsubscribe()
      resolve(isPassed)
    }
    const subscription = receiver.nats.subscribe(subject, () => end(true))
    const repeated = setInterval(send, repeatMs)
    const timeout = setTimeout(() => end(false), timeoutMs)
  })

const findingOf = async (
  from: OpenRegion,
  to: OpenRegion,
  timeoutMs: number,
): Promise<RegionFinding | undefined> => {
  const probes = probesOf(from, to)
  if (probes.length === 0) return undefined
  const found = await Promise.all(probes.map(probe => passes(probe, timeoutMs)))
  const lost = probes.filter((_, index) => !found[index])
  const place = { what: 'link', where: `${from.region.name} to ${to.region.name}` }
  if (lost.length === 0) return { ...place, state: 'well', detail: 'passes all subjects' }
  if (lost.length === probes.length)
    return {
      ...place,
      state: 'ill',
      detail: 'passes nothing',
      advice: `repair the network between the regions, or start their spines; see leafnodes in region.conf of ${from.region.name} and ${to.region.name}`,
    }
  return {
    ...place,
    state: 'ill',
    detail: `does not pass ${lost.map(({ carries }) => carries).join(', ')}`,
    advice: `add ${lost.map(({ pattern }) => pattern).join(', ')} to the allow list LINK of spine.conf in both regions`,
  }
}

/**
 * Sends each subject that regions need over the spine, from each region to each other one. A configuration file proves
 * nothing: a link may pass some subjects and drop others.
 */
export const diagnoseLinks = async (
  open: readonly OpenRegion[],
  timeoutMs = 2_000,
): Promise<RegionFinding[]> => {
  const pairs = open.flatMap(from => open.filter(to => to !== from).map(to => [from, to] as const))
  const findings = await Promise.all(pairs.map(([from, to]) => findingOf(from, to, timeoutMs)))
  return findings.filter(one => one !== undefined)
}
