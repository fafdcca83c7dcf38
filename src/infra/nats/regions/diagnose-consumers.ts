import { ApiError, apiCodeOf } from '../client/jetstream-api.ts'
import type { ComparedRegion, ComparedRegions } from './compare-regions.ts'
import type { RegionFinding } from './region-finding.ts'
import { mirrorConsumerName } from './region-streams.ts'

const prefix = mirrorConsumerName('')

const leftAt = async (home: ComparedRegion, all: readonly ComparedRegion[]): Promise<RegionFinding[]> => {
  const findings: RegionFinding[] = []
  for (const { role, placement, compared } of home.streams) {
    if (role === undefined || compared.info === undefined) continue
    const stream = compared.defined.name
    const mirrors = role === 'home' ? (placement?.mirrors ?? []) : []
    for await (const { name, push_bound } of home.manager.consumers.list(stream)) {
      if (!name.startsWith(prefix) || mirrors.includes(name.slice(prefix.length))) continue
      const region = name.slice(prefix.length)
      const isMirrored = all
        .find(one => one.region.name === region)
        ?.others.some(info => info.config.name === stream)
      // A mirror that follows its home listens on the subject of the consumer.
      const isUsed = push_bound === true || isMirrored === true
      findings.push({
        what: stream,
        where: home.region.name,
        state: 'ill',
        detail: isUsed
          ? `the consumer ${name} serves a mirror that the topology does not have`
          : `the consumer ${name} is of a mirror that does not exist any more`,
        advice: isUsed
          ? `add ${region} to the mirrors of the topology, or delete the mirror there first`
          : `delete it with "nats consumer rm ${stream} ${name}"`,
        ...(isUsed
          ? {}
          : {
              cure: {
                does: `delete the consumer ${name} of ${stream} in ${home.region.name}`,
                isDestructive: false,
                run: async () => {
                  await deleteConsumer(home, stream, name)
                  return { [`${stream} in ${home.region.name}`]: `consumer ${name} deleted` }
                },
              },
            }),
      })
    }
  }
  return findings
}

const deleteConsumer = async ({ manager }: ComparedRegion, stream: string, name: string): Promise<void> => {
  try {
    await manager.consumers.delete(stream, name)
  } catch (error) {
    if (apiCodeOf(error) !== ApiError.consumerNotFound) throw error
  }
}

/** Finds the consumers of mirrors that the topology and the promises do not place. */
export const diagnoseConsumers = async ({ regions }: ComparedRegions): Promise<RegionFinding[]> =>
  (await Promise.all(regions.map(one => leftAt(one, regions)))).flat()
