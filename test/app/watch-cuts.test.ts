import t from 'tap'
import { watchLostEvents } from '../../src/app/watch-cuts.ts'
import type { Cut, Epochs } from '../../src/commands/index.ts'

/** Epochs of one stream, and a function that begins an epoch. */
const changing = () => {
  const listeners: (() => void)[] = []
  const cuts: Cut[] = []
  const epochs: Epochs = {
    streams: ['CONV_0'],
    epochOf: () => cuts.at(-1)?.epoch ?? 1,
    cutsOf: () => cuts,
    watch: listener => {
      listeners.push(listener)
      return () => {}
    },
  }
  const begin = (cut: Cut): void => {
    cuts.push(cut)
    for (const listener of listeners) listener()
  }
  return { epochs, begin }
}

t.test('a process that has read lost events ends', async t => {
  const { epochs, begin } = changing()
  const stale: string[] = []
  watchLostEvents(epochs, { position: () => 12 }, ({ message }) => stale.push(message))
  begin({ epoch: 2, streamSeq: 12 })
  t.same(stale, [], 'nothing is lost')
  begin({ epoch: 3, streamSeq: 10 })
  t.match(stale, [/continues after event 10, and this process has read events up to 12/])
})

t.test('events of the new home that arrive before its epoch is known are not lost', async t => {
  const { epochs, begin } = changing()
  const stale: string[] = []
  const position = (_: string, epoch?: number): number => (epoch === 1 ? 10 : 15)
  watchLostEvents(epochs, { position }, ({ message }) => stale.push(message))
  begin({ epoch: 2, streamSeq: 10 })
  t.same(stale, [])
})
