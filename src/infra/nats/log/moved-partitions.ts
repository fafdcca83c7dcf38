import type { StreamInfo } from '@nats-io/jetstream'
import { Family } from '../../../events/index.ts'
import { OriginMetadata } from './log-layout.ts'
import type { AnyDefinition } from './stream-differences.ts'

const familyIn = (subjects: readonly string[] = []): string | undefined =>
  Object.values(Family).find(family => subjects.some(subject => subject.startsWith(`${family}.`)))

/**
 * Returns the definitions with the streams and subjects that the log has after partitions moved. A file of `streams/`
 * defines how many streams a new log has; an existing log keeps its partitions where they are.
 */
export const afterMoves = <T extends AnyDefinition>(
  definitions: readonly T[],
  infos: readonly StreamInfo[],
): T[] => {
  const moved = infos
    .map(({ config }) => config)
    // A copy that a restore made has the metadata, and subjects of no family.
    .filter(
      ({ metadata, subjects }) =>
        metadata?.[OriginMetadata.moved] !== undefined && familyIn(subjects) !== undefined,
    )
  const names = new Set(moved.map(({ name }) => name))
  const families = new Set(moved.map(({ subjects }) => familyIn(subjects)))
  const others = definitions.filter(
    ({ name, subjects }) => !names.has(name) || !families.has(familyIn(subjects)),
  )
  const ofMoved = moved.flatMap(({ name, subjects = [] }): T[] => {
    const defined = definitions.find(one => familyIn(one.subjects) === familyIn(subjects))
    return defined === undefined ? [] : [{ ...defined, name, subjects }]
  })
  return [...ofMoved, ...others]
}
