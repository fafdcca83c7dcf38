import { headers, nuid } from '@nats-io/transport-node'
import { otherAccountsPrefix } from '../client/inboxes.ts'
import type { OpenRegion } from './open-region.ts'
import { grantSubject, promisesStreamName, promisesSubject } from './promises-stream.ts'
import type { RegionFinding } from './region-finding.ts'
import { mirrorConsumerName, mirrorSubjectOf } from './region-streams.ts'
import type { Region } from './topology.ts'

/** Prefix of the answers that a mirror receives from its home. */
const mirrorAnswers = '$JSC.R.'
/** Prefix of the confirmations of a mirror. */
const flowControl = '$JS.FC.'
/** Name of a consumer and of a node that no region has. */
const nobody = 'confab-doctor'

/** A message that has to pass from one region to another. */
interface Probe {
  /** The messages of confab that pass by the same pattern. */
  readonly carries: string
  /** The pattern of the allow list of the spine. */
  readonly pattern: string
  /** The subject under which it arrives. */
  readonly subject: string
  /** The subject under which it is sent. Default: the same. */
  readonly sent?: string
}

/** Headers of a message that every stream refuses. */
const refusedByAll = () => {
  const refused = headers()
  refused.set('Nats-Expected-Stream', nobody)
  return refused
}

/** Returns the probes that a region sends to another one. No stream stores them, and no consumer has their name. */
const probesOf = (from: Region, to: Region): Probe[] => {
  // The probes between other regions have other subjects.
  const id = `${nobody}-${nuid.next()}`
  const answers: Probe[] = [
    { carries: 'answers to mirrors', pattern: '$JSC.R.>', subject: `${mirrorAnswers}${id}` },
    { carries: 'answers to commands nodes', pattern: '_R_.>', subject: `${otherAccountsPrefix}${id}` },
  ]
  if (from.isWitness) return to.isWitness ? [] : answers
  // The servers of a domain answer its requests without the name of the domain.
  const request = (carries: string, pattern: string, operation: string): Probe => ({
    carries,
    pattern,
    subject: `$JS.API.${operation}`,
    sent: `$JS.${to.domain}.API.${operation}`,
  })
  const ofPromises: Probe[] = [
    request(
      'reads of promises',
      '$JS.*.API.DIRECT.GET.PROMISES.>',
      `DIRECT.GET.${promisesStreamName}.${promisesSubject(id)}`,
    ),
    { carries: 'grants of leases', pattern: 'grant.*.*', subject: grantSubject(to.name, id) },
  ]
  if (to.isWitness) return ofPromises
  return [
    {
      carries: 'messages of mirrors',
      pattern: 'mirror.*.*',
      subject: mirrorSubjectOf(to.name, id),
    },
    {
      carries: 'confirmations of mirrors (flow control)',
      pattern: '$JS.FC.>',
      subject: `${flowControl}${id}`,
    },
    request(
      'requests of mirrors to continue (API reset)',
      '$JS.*.API.CONSUMER.RESET.>',
      `CONSUMER.RESET.${promisesStreamName}.${mirrorConsumerName(id)}`,
    ),
    ...answers,
    ...ofPromises,
  ]
}

/** Time between two messages of a probe, ms: the interest of the receiver has to reach the sender's server first. */
const repeatMs = 100

const passes = (
  { subject, sent = subject }: Probe,
  from: OpenRegion,
  to: OpenRegion,
  timeoutMs: number,
): Promise<boolean> =>
  new Promise(resolve => {
    const end = (isPassed: boolean): void => {
      clearInterval(repeated)
      clearTimeout(timeout)
      subscription.unsubscribe()
      resolve(isPassed)
    }
    const subscription = to.nats.subscribe(subject, () => end(true))
    const options = { headers: refusedByAll() }
    const repeated = setInterval(() => from.nats.connection.publish(sent, '', options), repeatMs)
    const timeout = setTimeout(() => end(false), timeoutMs)
  })

const findingOf = async (
  from: OpenRegion,
  to: OpenRegion,
  timeoutMs: number,
): Promise<RegionFinding | undefined> => {
  const probes = probesOf(from.region, to.region)
  if (probes.length === 0) return undefined
  const found = await Promise.all(probes.map(probe => passes(probe, from, to, timeoutMs)))
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
