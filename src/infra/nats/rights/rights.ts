import { auditSubject, Family, livePatternOf, SubjectPattern } from '../../../events/index.ts'
import { otherAccountsPrefix } from '../client/inboxes.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { CommandSubject, commandPattern, mirroredSubject } from '../commands/command-wire.ts'
import { Bucket, type BucketName, bucketStream, bucketSubject } from '../coordination/buckets.ts'
import { projectionStatusSubject } from '../coordination/projection-coordination.ts'
import { revocationPatterns } from '../coordination/revocation-bucket.ts'
import { sessionsSubject } from '../coordination/session-queries.ts'
import { DigestSubject } from '../feed/digest.ts'
import { streamUpdates } from '../log/live-layout.ts'
import { ingestSubject } from '../log/log-layout.ts'
import { retrySubject } from '../log/nats-dead-letters.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import {
  grantSubject,
  promisesStreamName,
  promisesSubject,
  remotePromises,
} from '../regions/promises-stream.ts'
import { ownRightsSubject } from './own-rights.ts'

/** The roles of confab's processes. */
export const processRoles = ['edge', 'commands', 'projections'] as const
export type ProcessRole = (typeof processRoles)[number]

/**
 * The users of NATS: one for each role of a process, `server` for processes with several roles, `operator` for the
 * command line, and `analyst` for reading the log.
 */
export const natsUsers = [...processRoles, 'server', 'operator', 'analyst'] as const
export type NatsUser = (typeof natsUsers)[number]

/** Patterns of the subjects to which a user may publish, and to which the user may subscribe. */
export interface Rights {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** The subjects that a user uses, without the inboxes on which it receives answers. */
export interface Needs extends Rights {
  /** Patterns of the subjects of requests that the user answers. */
  readonly answer: readonly string[]
}

/**
 * The requests between processes that several processes answer. Of the answers to any other request from another
 * account, the server delivers the first one only.
 */
export const requestsWithManyAnswers: ReadonlySet<string> = new Set([
  sessionsSubject,
  projectionStatusSubject,
  retrySubject,
])

/** The requests of operators to processes. */
export const operatorRequests: Needs = { publish: [...requestsWithManyAnswers], subscribe: [], answer: [] }

/** Whether a subject is that of direct gets that may ask for several messages. */
export const isBatchRequest = (subject: string): boolean => /^\$JS\.API\.DIRECT\.GET\.[^.]+$/.test(subject)

/** The subjects on which the server receives answers to requests of other accounts, in their place. */
const answersToOthers = `${otherAccountsPrefix}>`

/** The streams that rights name. */
interface NamedStreams {
  readonly all: readonly string[]
  readonly log: readonly string[]
  readonly snapshots: readonly string[]
  readonly audit: readonly string[]
}

const namesOf = (streams: readonly StreamDefinition[]): NamedStreams => {
  const taking = (prefix: string): string[] =>
    streams
      .filter(({ subjects = [] }) => subjects.some(one => one.startsWith(prefix)))
      .map(({ name }) => name)
  return {
    all: streams.map(({ name }) => name),
    log: Object.values(Family).flatMap(family => taking(`${family}.`)),
    snapshots: taking('snap.'),
    audit: taking(auditSubject),
  }
}

/** The subjects of an operation of JetStream's API on each of several streams. */
const onEach = (operation: string, streams: readonly string[], rest?: string): string[] =>
  streams.map(stream => apiSubject(operation, stream, rest))

const streamsOf = (...buckets: readonly BucketName[]): string[] => buckets.map(bucketStream)

/** Requests that reveal what streams there are, and the user's own rights. */
const discovery = [ownRightsSubject, '$JS.API.INFO', '$JS.API.STREAM.NAMES', '$JS.API.STREAM.LIST']

/** Requests that read the log: batches from any replica, single messages from the leader. */
const readingLog = ({ log }: NamedStreams): string[] => [
  ...onEach('STREAM.INFO', log),
  ...onEach('DIRECT.GET', log),
  ...onEach('STREAM.MSG.GET', log),
]

/** Requests of every process: it checks the streams at its start, reads the log, and records its start and refusals. */
const forAll = (streams: NamedStreams): string[] => [
  ...discovery,
  ...onEach('STREAM.INFO', streams.all),
  ...readingLog(streams),
  auditSubject,
  ...onEach('STREAM.MSG.GET', streams.audit),
  ...onEach('STREAM.INFO', [promisesStreamName]),
  ...onEach('STREAM.MSG.GET', [promisesStreamName]),
]

/** Requests on a bucket: its status, and values from its leader. `keys`: the keys that the user may write. */
const forBucket = (bucket: BucketName, keys: readonly string[] = []): string[] => [
  ...onEach('STREAM.INFO', streamsOf(bucket)),
  ...onEach('STREAM.MSG.GET', streamsOf(bucket)),
  ...keys.map(key => bucketSubject(bucket, key)),
]

/** The subjects on which the connections of a user receive answers. */
export const inboxesOf = (user: NatsUser): string => `_INBOX_${user.toUpperCase()}.>`

const liveFeed = Object.values(Family).map(livePatternOf)

/** The subjects that each role uses. */
const roleNeeds: Readonly<Record<ProcessRole, (streams: NamedStreams) => Needs>> = {
  edge: streams => ({
    publish: [
      ...forAll(streams),
      ...onEach('DIRECT.GET', streams.snapshots, SubjectPattern.snapshots),
      ...forBucket(Bucket.projections),
      ...forBucket(Bucket.presence, ['*.*']),
      ...forBucket(Bucket.lastSeen, ['*']),
      ...forBucket(Bucket.quotas, ['*']),
      ...forBucket(Bucket.revocations, revocationPatterns),
      SubjectPattern.signals,
      DigestSubject.request,
      CommandSubject.request,
      commandPattern,
      sessionsSubject,
    ],
    subscribe: [
      streamUpdates,
      ...liveFeed,
      SubjectPattern.signals,
      DigestSubject.all,
      CommandSubject.announcements,
    ],
    answer: [sessionsSubject],
  }),
  commands: streams => ({
    publish: [
      ...forAll(streams),
      SubjectPattern.conversations,
      SubjectPattern.users,
      ingestSubject('*', SubjectPattern.conversations),
      ingestSubject('*', SubjectPattern.users),
      ...onEach('DIRECT.GET', streams.snapshots, SubjectPattern.snapshots),
      SubjectPattern.snapshots,
      ...forBucket(Bucket.projections),
      DigestSubject.all,
      CommandSubject.announcements,
      CommandSubject.request,
      mirroredSubject,
      grantSubject('*', '*'),
      remotePromises('*', promisesSubject('*')),
    ],
    subscribe: [
      streamUpdates,
      ...liveFeed,
      DigestSubject.request,
      CommandSubject.announcements,
      CommandSubject.request,
      mirroredSubject,
    ],
    answer: [commandPattern],
  }),
  projections: streams => ({
    publish: [
      ...forAll(streams),
      ...forBucket(Bucket.projections, ['*']),
      ...forBucket(Bucket.leases, ['*']),
      SubjectPattern.deadLetters,
    ],
    subscribe: [streamUpdates],
    answer: [projectionStatusSubject, retrySubject],
  }),
}

const union = (all: readonly Needs[]): Needs => ({
  publish: [...new Set(all.flatMap(({ publish }) => publish))],
  subscribe: [...new Set(all.flatMap(({ subscribe }) => subscribe))],
  answer: [...new Set(all.flatMap(({ answer }) => answer))],
})

/** Returns what a user does. `operator` may do everything. */
export const needsOf = (user: NatsUser, definitions: readonly StreamDefinition[]): Needs => {
  if (user === 'operator') return { publish: ['>'], subscribe: ['>'], answer: [] }
  const streams = namesOf(definitions)
  if (user === 'analyst')
    return { publish: [...discovery, ...readingLog(streams)], subscribe: [], answer: [] }
  return union((user === 'server' ? processRoles : [user]).map(role => roleNeeds[role](streams)))
}

const rightsFor = ({ publish, subscribe, answer }: Needs): Rights => ({
  publish: answer.length === 0 ? publish : [...publish, answersToOthers],
  subscribe: [...subscribe, ...answer],
})

/** Returns the least rights with which processes of these roles work, without their inboxes. */
export const rightsOfRoles = (roles: readonly ProcessRole[], streams: readonly StreamDefinition[]): Rights =>
  rightsFor(union(roles.map(role => roleNeeds[role](namesOf(streams)))))

/**
 * Returns the rights of a user, for these streams. Only `operator` may change or remove streams, remove messages, and
 * create consumers: a consumer delivers to any subject, also to those to which its creator may not publish.
 */
export const rightsOf = (user: NatsUser, streams: readonly StreamDefinition[]): Rights => {
  const needs = needsOf(user, streams)
  if (user === 'operator') return needs
  const { publish, subscribe } = rightsFor(needs)
  return { publish, subscribe: [inboxesOf(user), ...subscribe] }
}

/** Subjects that none of these users but `operator` may publish to, with what they do. */
export const dangerousSubjects = (streams: readonly StreamDefinition[]): readonly string[] => {
  const { all } = namesOf(streams)
  return [
    ...['STREAM.CREATE', 'STREAM.UPDATE', 'STREAM.DELETE', 'STREAM.PURGE', 'STREAM.MSG.DELETE'].flatMap(
      operation => onEach(operation, all),
    ),
    ...onEach('CONSUMER.CREATE', all, '*'),
    ...onEach('CONSUMER.DURABLE.CREATE', all, '*'),
    ...onEach('STREAM.RESTORE', all),
  ]
}
