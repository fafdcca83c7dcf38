/** Waits for a promise, so many ms at most; whether it was in time. Rejects as the promise does. */
export const within = async (ms: number, promise: Promise<unknown>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<false>(resolve => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([promise.then(() => true), patience])
  } finally {
    clearTimeout(timer)
  }
}
