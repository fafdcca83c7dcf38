/** A body as an older version had it, or as the current one has it. */
export type Body = Record<string, unknown>

/** Turns a body of version n into one of version n + 1. Pure. */
export type Upcaster = (body: Body) => Body

/** By event type: the first entry takes version 1 to 2, the next 2 to 3, and so on. The current version is one more than their number. */
export type Upcasters = { readonly [type: string]: readonly Upcaster[] | undefined }

/** No schema has changed yet. */
export const upcasters: Upcasters = {}

/** The version that is written today. */
export const currentVersion = (type: string, table: Upcasters = upcasters): number =>
  (table[type]?.length ?? 0) + 1

/**
 * Brings a body to the current version of its type. The log is never rewritten: this runs at read.
 * Throws a RangeError for a version from the future: an older node must not guess at what a newer one wrote.
 */
export const upcast = (type: string, version: number, body: Body, table: Upcasters = upcasters): Body => {
  const steps = table[type] ?? []
  if (version > steps.length + 1)
    throw new RangeError(`${type} version ${version} is newer than this build knows (${steps.length + 1})`)
  let current = body
  for (const step of steps.slice(version - 1)) current = step(current)
  return current
}
