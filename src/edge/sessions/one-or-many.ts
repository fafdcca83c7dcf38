/**
 * A set that is mostly of one or two: the item itself, or an array of at least two. Tens of these belong to every socket, and a Set costs ten times as much.
 */
export type OneOrMany<T extends object> = T | readonly T[]

const isMany = <T extends object>(items: OneOrMany<T>): items is readonly T[] => Array.isArray(items)

export const withItem = <T extends object>(items: OneOrMany<T> | undefined, item: T): OneOrMany<T> => {
  if (items === undefined || items === item) return item
  if (!isMany(items)) return [items, item]
  // concat, not push: an array that grew has room for more, and this one is to be small
  return items.includes(item) ? items : items.concat([item])
}

/** Undefined when none is left. */
export const withoutItem = <T extends object>(items: OneOrMany<T>, item: T): OneOrMany<T> | undefined => {
  if (!isMany(items)) return items === item ? undefined : items
  const rest = items.filter(other => other !== item)
  return rest.length === 1 ? rest[0] : rest
}

const none: readonly never[] = []

export const toArray = <T extends object>(items: OneOrMany<T> | undefined): readonly T[] =>
  items === undefined ? none : isMany(items) ? items : [items]

export const countOf = <T extends object>(items: OneOrMany<T> | undefined): number =>
  items === undefined ? 0 : isMany(items) ? items.length : 1
