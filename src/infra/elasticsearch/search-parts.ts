import type { Client, estypes } from '@elastic/elasticsearch'
import { ElasticsearchError, ElasticsearchProblem, failureOf } from './elasticsearch-error.ts'
import type { CompiledOptions } from './elasticsearch-options.ts'
import type { Lifecycle } from './lifecycle.ts'
import { fromOf, mappingFrom } from './search-mapping.ts'

/** An index of a generation: its messages are those from a time on until that of the next. */
export interface Part {
  readonly index: string
  /** Where it is written: an alias, so that an index that was removed is not made again by a write, with whatever mapping. */
  readonly target: string
  /** ms since 1970. */
  readonly from: number
  readonly n: number
  readonly createdAt: number
}

/** A change that the whole cluster agrees on may take longer than a write. Its answer tells nothing that a second look would not. */
const changesOfIndices = { requestTimeout: 60_000 }

/** Before every message. */
export const beginning = -8.64e15

export const aliasOf = (prefix: string, generation: number): string => `${prefix}-search-g${generation}`

/**
 * The indices of one generation. Which one a message belongs to follows from its own time, never from when it is written, so that a message that comes again
 * meets itself (ADR 0019). A new part begins in the future, after everyone has seen that it is there.
 */
export class SearchParts {
  readonly alias: string
  readonly #client: Client
  readonly #options: CompiledOptions
  readonly #generation: number
  readonly #lifecycle: Lifecycle
  #parts: readonly Part[] = []
  #seenAt = Number.NEGATIVE_INFINITY

  constructor(client: Client, options: CompiledOptions, generation: number, lifecycle: Lifecycle) {
    this.#client = client
    this.#options = options
    this.#generation = generation
    this.#lifecycle = lifecycle
    this.alias = aliasOf(options.prefix, generation)
  }

  /** Makes the first part, or as many as the newest other generation has, when there is none. Resolves with whether it did. */
  async ensure(): Promise<boolean> {
    await this.#read()
    if (this.#parts.length > 0) return false
    const froms = await this.#fromsOfAnother()
    for (const [i, from] of froms.entries()) await this.#create(i + 1, from)
    await this.#read()
    return true
  }

  /** The parts, the oldest first; looked at again when that was a while ago, and then rolled over and forgotten as they should be. */
  async current(): Promise<readonly Part[]> {
    if (performance.now() - this.#seenAt < this.#options.lookMs) return this.#parts
    await this.#read()
    if (this.#parts.length === 0)
      throw new ElasticsearchError(
        ElasticsearchProblem.missing,
        `the index behind ${this.alias} was removed; start the projections again, and it is built from the log`,
      )
    if (await this.#forget()) await this.#read()
    if (await this.#rollOver()) await this.#read()
    return this.#parts
  }

  /** The next who asks looks again. */
  forgetSeen(): void {
    this.#seenAt = Number.NEGATIVE_INFINITY
  }

  /** Removes all that is in them. */
  async clear(): Promise<void> {
    await this.#read()
    for (const { index, n, from } of this.#parts) {
      await this.#delete(index)
      await this.#create(n, from)
    }
    if (this.#parts.length === 0) await this.ensure()
    await this.#read()
  }

  async drop(): Promise<void> {
    await this.#read()
    for (const { index } of this.#parts) await this.#delete(index)
    this.#parts = []
    this.forgetSeen()
  }

  async #read(): Promise<void> {
    const found = await this.#get(this.alias)
    this.#parts = Object.entries(found)
      .map(([index, { mappings, settings }]) => ({
        index,
        target: `${index}-write`,
        from: fromOf(index, mappings),
        n: Number(/-(\d+)$/.exec(index)?.[1] ?? 0),
        createdAt: Number((settings?.index?.creation_date ?? settings?.creation_date) as string),
      }))
      .sort((a, b) => a.from - b.from)
    this.#seenAt = performance.now()
  }

  async #get(name: string): Promise<Record<string, estypes.IndicesIndexState>> {
    try {
      return await this.#client.indices.get({ index: name, features: ['mappings', 'settings'] })
    } catch (error) {
      if (failureOf(error)?.status === 404) return {}
      throw error
    }
  }

  /** Where the parts of the newest other generation begin: a view that is built again is divided as before. */
  async #fromsOfAnother(): Promise<readonly number[]> {
    const pattern = new RegExp(`^${aliasOf(this.#options.prefix, 0).slice(0, -1)}(\\d+)-\\d+$`)
    const byGeneration = new Map<number, number[]>()
    for (const [index, { mappings }] of Object.entries(
      await this.#get(`${this.#options.prefix}-search-g*`),
    )) {
      const generation = Number(pattern.exec(index)?.[1] ?? 0)
      if (generation === 0 || generation === this.#generation) continue
      // Another's mapping is no reason not to build.
      const from = (mappings?._meta?.confab as { from?: number } | undefined)?.from
      if (from !== undefined) byGeneration.set(generation, [...(byGeneration.get(generation) ?? []), from])
    }
    const newest = byGeneration.get(Math.max(...byGeneration.keys()))
    return newest?.sort((a, b) => a - b) ?? [beginning]
  }

  async #create(n: number, from: number): Promise<void> {
    const { shards, replicas } = this.#options
    const index = `${this.alias}-${String(n).padStart(6, '0')}`
    try {
      await this.#client.indices.create(
        {
          index,
          aliases: { [this.alias]: {}, [`${index}-write`]: { is_write_index: true } },
          mappings: mappingFrom(from),
          settings: {
            number_of_shards: shards,
            ...(replicas === undefined ? { auto_expand_replicas: '0-1' } : { number_of_replicas: replicas }),
            // Named, so that an index that nobody searches is refreshed too.
            refresh_interval: '500ms',
            // A user may be in more conversations than the default allows.
            max_terms_count: 1_000_000,
          },
        },
        changesOfIndices,
      )
    } catch (error) {
      // Another worker was quicker.
      if (failureOf(error)?.type !== 'resource_already_exists_exception') throw error
    }
  }

  async #delete(index: string): Promise<void> {
    await this.#client.indices.delete({ index, ignore_unavailable: true }, changesOfIndices)
  }

  /** Adds a part when the last one is large or old. */
  async #rollOver(): Promise<boolean> {
    const { rolloverBytes, rolloverMs, leadMs } = this.#options
    const last = this.#parts.at(-1)
    const now = Date.now()
    if (last === undefined || last.from > now) return false
    const isOld = now - Math.max(last.from, last.createdAt) > rolloverMs
    if (!isOld && (await this.#bytesOf(last.index)) <= rolloverBytes) return false
    const from = Math.max(now + leadMs, (await this.#latestOf(last.index)) + 1)
    // First, so that no index is left without it; should the next not be made now, it is told again with a later time.
    await this.#lifecycle.closed(last.index, from)
    await this.#create(last.n + 1, from)
    return true
  }

  /** The time of its latest message: clocks may be wrong, and imports bring any time. */
  async #latestOf(index: string): Promise<number> {
    await this.#client.indices.refresh({ index })
    const { hits } = await this.#client.search({ index, size: 1, sort: [{ time: 'desc' }], _source: false })
    return Number(hits.hits[0]?.sort?.[0] ?? beginning)
  }

  async #bytesOf(index: string): Promise<number> {
    const { _all } = await this.#client.indices.stats({ index, metric: ['store'] })
    return _all.primaries?.store?.size_in_bytes ?? 0
  }

  /** Removes the parts whose last message is older than the retention, where no policy of the server does. */
  async #forget(): Promise<boolean> {
    const { retentionMs } = this.#options
    if (retentionMs === undefined || (await this.#lifecycle.isThere())) return false
    const before = Date.now() - retentionMs
    const over = this.#parts.filter(
      (_, i) => (this.#parts[i + 1]?.from ?? Number.POSITIVE_INFINITY) <= before,
    )
    for (const { index } of over) await this.#delete(index)
    return over.length > 0
  }
}

/** The part that a message of this time belongs to; undefined: it is older than what is kept. */
export const partAt = (parts: readonly Part[], time: number): Part | undefined =>
  parts.findLast(({ from }) => from <= time)
