import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { createViewLookup } from '../commands/index.ts'
import { Id } from '../events/index.ts'
import { SeenWaits } from './access/seen-waits.ts'
import { Wire } from './delivery/wire.ts'
import type { EdgeOptions } from './edge-options.ts'
import { Admission } from './limits/admission.ts'
import { Quotas } from './limits/quotas.ts'
import { Searches } from './limits/searches.ts'
import { StorageReserve } from './limits/storage-reserve.ts'
import type { EdgeLimits } from './ports/edge-limits.ts'
import { PresenceCounts } from './presence/index.ts'
import { HelloHandler } from './requests/hello.ts'
import { createAnswerer } from './requests/index.ts'
import { createSentCheck } from './requests/media.ts'
import { SessionRequests } from './requests/session-requests.ts'
import { CallSignals } from './signals/call-signals.ts'
import { TypingBoard } from './signals/typing-board.ts'
import type { WiredDelivery } from './wire-delivery.ts'
import type { WiredSessions } from './wire-sessions.ts'

/** Wires the requests of clients to their handlers, and the signals between edge nodes that some of them send. */
export const wireRequests = (
  options: EdgeOptions,
  limits: EdgeLimits,
  wired: WiredSessions,
  delivery: WiredDelivery,
) => {
  const { bus, states, views, log, signals, media, metrics, logger } = options
  const { sessions, tokens, directory, helloRate, addresses, devices, presence, contacts, lastSeen } = wired
  const {
    epochs,
    access,
    isOnRoster,
    freshness,
    memberships,
    reader,
    fanOut,
    writeRoom,
    catchUp,
    slowConsumers,
  } = delivery
  const lookup = createViewLookup(views.timeline, log)
  const typing = new TypingBoard(signals, limits)
  const calls = new CallSignals(
    { signals, sessions, access, states, onLimited: () => metrics.limited('call_rate') },
    limits,
  )
  const presenceCounts = new PresenceCounts(limits.presenceCounted, user => presence.stateOf(user))
  const quotas = new Quotas(
    { store: options.quotas, onRefused: limit => metrics.limited(limit), logger },
    limits,
  )
  const reserve = new StorageReserve(options.storage ?? (() => 'free'), () => metrics.limited('storage'))
  const admission = new Admission(
    {
      sessions,
      quotas,
      reserve,
      loads: [bus, slowConsumers],
      onRefused: limit => metrics.limited(limit),
    },
    limits,
  )
  const answer = createAnswerer({
    bus,
    states,
    views,
    access,
    admission,
    reader,
    freshness,
    seenWaits: new SeenWaits(views.inbox, limits),
    searches: new Searches(limits, limit => metrics.limited(limit)),
    memberships,
    contacts,
    presence,
    presenceCounts,
    lastSeen,
    catchUp,
    typing,
    calls,
    media,
    quotas,
    reserve,
    lookup,
    tokens,
    directory,
    limits,
  })
  const helloHandler = new HelloHandler(
    {
      helloRate,
      addresses,
      tokens,
      access,
      memberships,
      sessions,
      devices,
      presence,
      fanOut,
      catchUp,
      epochs,
    },
    limits,
  )
  const requests = new SessionRequests(
    {
      answer,
      admission,
      helloHandler,
      sessions,
      fanOut,
      presence,
      writeRoom,
      isOnRoster,
      slowConsumers: delivery.slowConsumerCatchUp,
      metrics,
      logger,
    },
    limits,
  )
  signals.listen(signal => {
    if (typingCheck.Check(signal)) fanOut.publish(signal.c, Wire.of(typingPush(signal)))
    else if (!devices.receive(signal)) calls.receive(signal)
  }, delivery.interest.signals)

  return {
    admission,
    answer,
    requests,
    wasSent: createSentCheck({ states, lookup, reader }),
    quotas,
    reserve,
    stop: async () => {
      typing.close()
      await quotas.stop()
    },
  }
}

export type WiredRequests = ReturnType<typeof wireRequests>

const TypingSignal = Type.Object({
  t: Type.Literal('signal'),
  type: Type.Literal('typing'),
  c: Id,
  user: Id,
  on: Type.Boolean(),
})
const typingCheck = TypeCompiler.Compile(TypingSignal)

/** Copies the fields of the protocol. A newer node may send others. */
const typingPush = ({ t, type, c, user, on }: Static<typeof TypingSignal>) => ({ t, type, c, user, on })
