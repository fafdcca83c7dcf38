import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { startNats, type TestNats } from '../harness/nats.ts'

/** The streams that workers share. */
export const streams = ['CONV_0', 'CONV_1', 'CONV_2', 'CONV_3', 'USER_0', 'USER_1', 'USER_2']

/** Starts a nats-server with these streams. */
export const startWithStreams = async (t: Test): Promise<TestNats> => {
  const nats = await startNats(t, { streams: false })
  await nats.applyStreams({ conv: 4, user: 3 })
  return nats
}

export const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await sleep(10)
}
