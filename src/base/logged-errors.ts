const logged = new WeakSet<object>()

/**
 * Marks an error as logged. Returns whether it was not marked before: an error passes several components, and the first
 * of them logs it.
 */
export const markLogged = (error: unknown): boolean => {
  if (typeof error !== 'object' || error === null) return true
  if (logged.has(error)) return false
  logged.add(error)
  return true
}
