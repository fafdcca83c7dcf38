import type { NatsConnection } from '@nats-io/transport-node'
import { Family } from '../../../events/index.ts'
import { askJetStream, streamsTaking } from '../client/jetstream-api.ts'
import { discoverLog } from '../log/log-layout.ts'
import { deadLetterSubjects } from '../log/nats-dead-letters.ts'

/**
 * Subjects of the streams beside the log that a backup holds. Snapshots, presence and leases are left out: processes
 * make them again.
 */
const besideTheLog = [
  deadLetterSubjects,
  'audit.>',
  '$KV.confab-projections.>',
  '$KV.confab-revocations.>',
  '$KV.confab-quotas.>',
  '$KV.confab-last-seen.>',
]

/**
 * Returns the names of the streams that a backup holds, in the order in which it reads them. Users are before
 * conversations, so that no marker is beyond the end of its conversation. Throws NatsError.
 */
export const backedUpStreams = async (connection: NatsConnection): Promise<string[]> => {
  const layout = await discoverLog(connection)
  const isOfUsers = (stream: string): boolean => layout.familyOf(stream) === Family.user
  const others = await askJetStream(connection, async manager => {
    const names: string[] = []
    for (const subject of besideTheLog) names.push(...(await streamsTaking(manager, subject)))
    return names
  })
  return [
    ...layout.streams.filter(isOfUsers),
    ...layout.streams.filter(stream => !isOfUsers(stream)),
    ...others,
  ]
}
