import type { StreamDefinition } from '../log/stream-definitions.ts'
import { safeguards } from '../log/stream-definitions.ts'

/** The stream of each region that holds its promises and the leases that it grants. */
export const promisesStreamName = 'PROMISES'

/** Returns the subject of a region's promises: one document, which replaces the one before. */
export const promisesSubject = (region: string): string => `promises.${region}`

/** Returns the subject on which a region grants leases to a commands node. */
export const grantSubject = (region: string, node: string): string => `grant.${region}.${node}`

/** Returns the subject of a region's copy of the journal of operators. */
export const journalSubject = (region: string): string => `journal.${region}`

/** Returns the subject of JetStream's API that reads the last message on a subject of the `PROMISES` of a domain. */
export const remotePromises = (domain: string, subject: string): string =>
  `$JS.${domain}.API.DIRECT.GET.${promisesStreamName}.${subject}`

/** Largest message in `PROMISES`, bytes. */
const maxBytes = 1_048_576

/** Returns the definition of a region's `PROMISES`. It has as many replicas as the streams in `definitions`. */
export const promisesStream = (
  region: string,
  definitions: readonly StreamDefinition[],
): StreamDefinition => {
  const replicas = definitions[0]?.num_replicas
  return {
    ...safeguards,
    name: promisesStreamName,
    description: 'The home of each stream, and who may write it',
    subjects: [promisesSubject(region), grantSubject(region, '*'), journalSubject(region)],
    storage: 'file',
    discard: 'old',
    max_msgs_per_subject: 1,
    max_msg_size: maxBytes,
    allow_direct: true,
    allow_msg_ttl: true, // grants of nodes that have ended
    ...(replicas === undefined ? {} : { num_replicas: replicas }),
  }
}
