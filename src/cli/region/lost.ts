import { openLogWithBus } from '../../app/open-log.ts'
import { createLogLookup } from '../../commands/index.ts'
import { ConfabError, type ConversationEvent, type ConversationRequest, Family } from '../../events/index.ts'
import {
  newestPromises,
  type OpenRegion,
  readPromises,
  withPromises,
} from '../../infra/nats/regions/index.ts'
import type { LostEvent } from '../../infra/nats/regions/operations.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { confirm } from '../command/confirm.ts'
import { count, note, print, table } from '../terminal/output.ts'
import { type ChangeFlags, loadOperations, type RegionWork, withRegions } from './change.ts'

interface LostFlags extends ChangeFlags {
  readonly stream?: string
  readonly epoch?: number
}

/** A lost event, and the region that has it. */
interface Found {
  readonly lost: LostEvent
  readonly place: OpenRegion
  /** Undefined when the data is no event of this version. */
  readonly event: Partial<ConversationEvent> & { readonly m?: string }
}

type Outcome = 'stored' | 'duplicate' | 'refused' | 'discarded'

const eventOf = ({ data }: LostEvent): Found['event'] => {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as Found['event']
  } catch {
    return {}
  }
}

const findLost = async ({ regions }: RegionWork, { stream, epoch }: LostFlags): Promise<Found[]> => {
  const { openManager, readLostEvents } = await loadOperations()
  const found: Found[] = []
  for (const place of regions.open) {
    if (place.region.isWitness) continue
    const manager = await openManager(place.nats.connection)
    for await (const lost of readLostEvents({ manager }, { stream, epoch }))
      found.push({ lost, place, event: eventOf(lost) })
  }
  return found
}

const rowOf = ({ lost, event: { c, seq, m, from, at } }: Found) => ({
  stream: lost.stream,
  streamSeq: lost.streamSeq,
  ...(c === undefined ? {} : { c }),
  ...(seq === undefined ? {} : { seq }),
  ...(m === undefined ? {} : { m }),
  type: lost.type,
  ...(from === undefined ? {} : { from }),
  ...(at === undefined ? {} : { at }),
})

const printLost = async (
  found: readonly Found[],
  isJson: boolean | undefined,
  outcomes?: readonly Outcome[],
): Promise<void> => {
  const rows = found.map((one, index) => ({
    ...rowOf(one),
    ...(outcomes === undefined ? {} : { outcome: outcomes[index] }),
  }))
  if (isJson) return await print(`${JSON.stringify({ lost: rows }, undefined, 2)}\n`)
  await print(
    table(
      [
        { title: 'stream' },
        { title: 'sequence', align: 'right' },
        { title: 'conversation' },
        { title: 'type' },
        { title: 'from' },
        { title: 'at' },
        ...(outcomes === undefined ? [] : [{ title: 'outcome' }]),
      ],
      rows.map(row => [
        row.stream,
        count(row.streamSeq),
        row.c ?? '–',
        row.type,
        row.from ?? '–',
        row.at ?? '–',
        ...(outcomes === undefined ? [] : [String(row.outcome)]),
      ]),
    ),
  )
}

/** `confab region lost ls`. */
export const listLost = async (flags: LostFlags): Promise<void> => {
  await withRegions(flags, 'lost ls', async work => {
    const found = await findLost(work, flags)
    if (found.length === 0 && !flags.json) return note('no lost events')
    await printLost(found, flags.json)
  })
}

/** Returns the request that has the effect of an event again; undefined when an operator has to decide. */
const requestOf = (event: ConversationEvent): ConversationRequest | undefined => {
  const { c } = event
  const base = { id: 'lost', c }
  switch (event.type) {
    case 'message.posted': {
      const { m, text, replyTo, attachments, data } = event
      return {
        ...base,
        t: 'send',
        m,
        text,
        ...(replyTo === undefined ? {} : { replyTo }),
        ...(attachments === undefined ? {} : { attachments }),
        ...(data === undefined ? {} : { data }),
      }
    }
    case 'message.edited':
      return {
        ...base,
        t: 'edit',
        m: event.m,
        text: event.text,
        ...(event.data === undefined ? {} : { data: event.data }),
      } as ConversationRequest
    case 'message.deleted':
      return { ...base, t: 'delete', m: event.m }
    case 'reaction.added':
      return { ...base, t: 'react', m: event.m, emoji: event.emoji, on: true }
    case 'reaction.removed':
      return { ...base, t: 'react', m: event.m, emoji: event.emoji, on: false }
    case 'member.left':
      return event.user === event.from ? { ...base, t: 'leave' } : undefined
    case 'member.joined':
      return event.user === event.from ? { ...base, t: 'join' } : undefined
    default:
      return undefined
  }
}

/** Memory for the ids of stored messages, bytes. */
const indexBytes = 64 * 1024 * 1024
/** Time that a stop waits for commands under way, ms. */
const drainMs = 10_000

/** Sends the commands of lost events again, oldest first, with their old ids. Throws ConfabError. */
const resubmitAll = async (work: RegionWork, found: readonly Found[]): Promise<Outcome[]> => {
  const { topology, definitions } = work.system
  const { placements } = withPromises(
    topology,
    definitions,
    newestPromises(await readPromises(work.regions.open)),
  )
  const homes = new Map<string, ReturnType<typeof openHome>>()
  const homeOf = (stream: string): ReturnType<typeof openHome> => {
    const name = placements.get(stream)?.home ?? ''
    const place = work.regions.open.find(({ region }) => region.name === name)
    if (place === undefined)
      throw new CliError('NO_SERVER', `region ${name}, the home of ${stream}, cannot be reached`)
    const opened = homes.get(name) ?? openHome(work, place)
    homes.set(name, opened)
    return opened
  }
  const outcomes: Outcome[] = []
  try {
    for (const one of found) outcomes.push(await resubmit(await homeOf(one.lost.stream), one))
  } finally {
    for (const opened of homes.values()) await (await opened).close(drainMs)
  }
  return outcomes
}

const openHome = async ({ system: { topology } }: RegionWork, { region, nats }: OpenRegion) => {
  const opened = await openLogWithBus(nats, {
    lookup: (log, events) => createLogLookup(log, indexBytes, events),
    regions: { topology, own: region, writes: false },
  })
  await opened.feed.start()
  return opened
}

const resubmit = async (
  { bus, log }: Awaited<ReturnType<typeof openHome>>,
  { lost, event }: Found,
): Promise<Outcome> => {
  const request = event.c === undefined ? undefined : requestOf(event as ConversationEvent)
  if (request === undefined || event.from === undefined || event.at === undefined) return 'refused'
  for await (const page of log.read({ family: Family.conversation, id: request.c as string }, 0))
    if (page.some(({ envelope }) => envelope.commandId === lost.commandId)) return 'duplicate'
  try {
    await bus.execute(request, { id: lost.commandId, from: event.from, at: event.at, isImported: true })
    return 'stored'
  } catch (error) {
    const { code, message } = ConfabError.from(error)
    if (code === 'UNAVAILABLE' || code === 'OVERLOADED' || code === 'INTERNAL') throw error
    note(`${lost.stream} ${lost.streamSeq}, ${lost.type} in ${event.c}: ${code}: ${message}`)
    return 'refused'
  }
}

const settle = async (
  how: 'resubmit' | 'discard',
  recorder: CommandRecorder,
  flags: LostFlags,
): Promise<void> => {
  await withRegions(flags, `lost ${how}`, async work => {
    recorder.nothingChanged()
    const found = await findLost(work, flags)
    if (found.length === 0) return flags.json ? await printLost(found, true) : note('no lost events')
    if (flags.dryRun) return await printLost(found, flags.json)
    if (!flags.json) await printLost(found, false)
    const question =
      how === 'resubmit'
        ? `Send the commands of ${count(found.length)} lost events again?`
        : `Discard ${count(found.length)} lost events for ever?`
    if (!flags.yes && !(await confirm(question))) return note('nothing was changed')
    const { openManager, removeLostEvent } = await loadOperations()
    const [first] = found
    const outcomes = await recorder.perform(
      { config: work.config, nats: (first as Found).place.nats },
      {},
      async report => {
        const done: Outcome[] =
          how === 'discard' ? found.map(() => 'discarded') : await resubmitAll(work, found)
        for (const [index, { lost, place }] of found.entries())
          if (done[index] !== 'refused')
            await removeLostEvent({ manager: await openManager(place.nats.connection) }, lost)
        report({ events: found.length, refused: done.filter(one => one === 'refused').length })
        return done
      },
    )
    await printLost(found, flags.json, outcomes)
    const left = outcomes.filter(outcome => outcome === 'refused').length
    if (left > 0)
      throw new CliError(
        'LOST_EVENTS_LEFT',
        `${count(left)} events cannot be sent again: read them with "confab region lost ls", then discard them`,
      )
  })
}

/** `confab region lost resubmit`. */
export const resubmitLost = (recorder: CommandRecorder, flags: LostFlags): Promise<void> =>
  settle('resubmit', recorder, flags)

/** `confab region lost discard`. */
export const discardLost = (recorder: CommandRecorder, flags: LostFlags): Promise<void> =>
  settle('discard', recorder, flags)
