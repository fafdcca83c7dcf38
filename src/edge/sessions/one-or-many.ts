/**
 * A set that usually has one or two items: the item itself, or an array of at least two. Each session is in tens of
 * these sets, and a Set takes ten times the memory.
 */
export type OneOrMany<T extends object> = T | readonly T[]

const isMany = <T extends object>(items: OneOrMany<T>): items is readonly T[] => Array.isArray(items)

export const withItem = <T extends object>(items: OneOrMany<T> | undefined, item: T): OneOrMany<T> => {
  if (items === undefined || items === item) return item
  if (!isMany(items)) return [items, item]
  // concat instead of push: an array that grows by push reserves memory for more items.
  return items.includes(item) ? items : items.concat([item])
}

/** Returns undefined when no item is left. */
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
