import { setTimeout as sleep } from 'node:timers/promises'
import { connectNats } from '../../src/infra/nats/client/connection.ts'
import type { TestRegions } from '../harness/nats-regions.ts'
import { now } from './clock.ts'

/** Delays between two regions, ms. */
export interface Delays {
  /** From the live feed of a home to that of its mirror, of each event. */
  readonly mirror: readonly number[]
  /** Of messages without JetStream on the same links at the same time. */
  readonly oneWay: readonly number[]
}

/** A subject that the links between regions pass for operators. */
const probeSubject = 'mirror.test.probe'
const probeEveryMs = 20

/** Measures for some time how long events of streams in region a take to the mirrors in region b. */
export const measureDelays = async (servers: TestRegions, ms: number): Promise<Delays> => {
  const [home, mirror] = await Promise.all(
    ['a', 'b'].map(name => connectNats({ servers: servers.region(name).url, name: 'drill' })),
  )
  if (home === undefined || mirror === undefined) throw new Error('no region')
  const [mirrorDelays, oneWay]: [number[], number[]] = [[], []]
  const published = new Map<string, number>()
  const place = (headers: { get(key: string): string } | undefined): string =>
    `${headers?.get('Nats-Stream')} ${headers?.get('Nats-Sequence')}`
  home.connection.subscribe('live.conv.>', {
    callback: (_, { headers }) => {
      published.set(place(headers), now())
    },
  })
  mirror.connection.subscribe('live.conv.>', {
    callback: (_, { headers }) => {
      const at = published.get(place(headers))
      if (at !== undefined) mirrorDelays.push(now() - at)
    },
  })
  mirror.connection.subscribe(probeSubject, {
    callback: (_, msg) => {
      oneWay.push(now() - Number(msg.string()))
    },
  })
  await Promise.all([home.connection.flush(), mirror.connection.flush()])
  for (const until = now() + ms; now() < until; await sleep(probeEveryMs))
    home.connection.publish(probeSubject, String(now()))
  await Promise.all([home.close(), mirror.close()])
  return { mirror: mirrorDelays, oneWay }
}
