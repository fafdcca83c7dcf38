import type { Client, estypes } from '@elastic/elasticsearch'
import type { CompiledOptions } from './connect.ts'
import { ElasticsearchError, ElasticsearchProblem, failureOf } from './elasticsearch-error.ts'
import { fromOf, mappingFrom } from './search-mapping.ts'

/** An index of a generation: it holds the messages from one time until that of the next index. */
export interface Part {
  readonly index: string
  /** The alias to write to: a write must not re-create a removed index with a default mapping. */
  readonly target: string
  /** ms since 1970. */
  readonly from: number
  readonly n: number
  readonly createdAt: number
}

/**
 * Index changes need cluster-wide agreement and may take longer than a write. After a timeout the next look finds the
 * outcome.
 */
const changesOfIndices = { requestTimeout: 60_000 }

/** Before every message. */
export const beginning = -8.64e15

export const aliasOf = (prefix: string, generation: number): string => `${prefix}-search-g${generation}`

/**
 * The indices of one generation. A message belongs to an index by its own time, not by the time of writing, so a
 * repeated message reaches the same index (ADR 0019). A new index starts in the future, after every worker has seen
 * it.
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

  /**
   * Creates the first index when there is none, or as many as the newest other generation has. Resolves with whether
   * it created any.
   */
  async ensure(): Promise<boolean> {
    await this.#read()
    if (this.#parts.length > 0) return false
    const froms = await this.#fromsOfAnother()
    for (const [i, from] of froms.entries()) await this.#create(i + 1, from)
    await this.#read()
    return true
  }

  /**
   * Returns the indices, oldest first. Refreshes the list when it is old, and then rolls over and removes indices as
   * due.
   */
  async current(): Promise<readonly Part[]> {
    if (performance.now() - this.#seenAt < this.#options.lookMs) return this.#parts
    await this.#read()
    if (this.#parts.length === 0)
      throw new ElasticsearchError(
        ElasticsearchProblem.missing,
        `the index behind ${this.alias} was removed: restart the projections, and confab rebuilds it from the log`,
      )
    if (await this.#forget()) await this.#read()
    if (await this.#rollOver()) await this.#read()
    return this.#parts
  }

  /** The next call reads the list again. */
  forgetSeen(): void {
    this.#seenAt = Number.NEGATIVE_INFINITY
  }

  /** Removes all documents. */
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

  /** Returns the start times of the newest other generation's indices: a rebuild is divided in the same way. */
  async #fromsOfAnother(): Promise<readonly number[]> {
    const pattern = new RegExp(`^${aliasOf(this.#options.prefix, 0).slice(0, -1)}(\\d+)-\\d+$`)
    const byGeneration = new Map<number, number[]>()
    for (const [index, { mappings }] of Object.entries(
      await this.#get(`${this.#options.prefix}-search-g*`),
    )) {
      const generation = Number(pattern.exec(index)?.[1] ?? 0)
      if (generation === 0 || generation === this.#generation) continue
      // Another generation's mapping must not prevent the build.
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
            // Explicit, so that an index without searches is refreshed too.
            refresh_interval: '500ms',
            // A user may be in more conversations than the default allows.
            max_terms_count: 1_000_000,
          },
        },
        changesOfIndices,
      )
    } catch (error) {
      // Another worker created it first.
      if (failureOf(error)?.type !== 'resource_already_exists_exception') throw error
    }
  }

  async #delete(index: string): Promise<void> {
    await this.#client.indices.delete({ index, ignore_unavailable: true }, changesOfIndices)
  }

  /** Adds an index when the last one is large or old. */
  async #rollOver(): Promise<boolean> {
    const { rolloverBytes, rolloverMs, leadMs } = this.#options
    const last = this.#parts.at(-1)
    const now = Date.now()
    if (last === undefined || last.from > now) return false
    const isOld = now - Math.max(last.from, last.createdAt) > rolloverMs
    if (!isOld && (await this.#bytesOf(last.index)) <= rolloverBytes) return false
    const from = Math.max(now + leadMs, (await this.#latestOf(last.index)) + 1)
    // First, so that no index is left without the policy. If creating the next index fails, the policy is set again
    // with a later time.
    await this.#lifecycle.closed(last.index, from)
    await this.#create(last.n + 1, from)
    return true
  }

  /** Returns the time of the latest message: clocks may be wrong, and imports have any time. */
  async #latestOf(index: string): Promise<number> {
    await this.#client.indices.refresh({ index })
    const { hits } = await this.#client.search({ index, size: 1, sort: [{ time: 'desc' }], _source: false })
    return Number(hits.hits[0]?.sort?.[0] ?? beginning)
  }

  async #bytesOf(index: string): Promise<number> {
    const { _all } = await this.#client.indices.stats({ index, metric: ['store'] })
    return _all.primaries?.store?.size_in_bytes ?? 0
  }

  /** Removes indices whose last message is past the retention, where the server has no policy for it. */
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

/** Returns the index of a message by time; undefined when it is past the retention. */
export const partAt = (parts: readonly Part[], time: number): Part | undefined =>
  parts.findLast(({ from }) => from <= time)

/**
 * Uses the server's index lifecycle management for closed indices: merging, and removal after the retention period.
 * confab rolls indices over itself, also where ILM exists (ADR 0019).
 */
export interface Lifecycle {
  /** Whether the server has ILM. */
  isThere(): Promise<boolean>
  /** Puts an index under the policy. Its last message is older than `until`, ms since 1970. */
  closed(index: string, until: number): Promise<void>
}

export const lifecycleOf = (client: Client, { prefix, retentionMs }: CompiledOptions): Lifecycle => {
  const name = `${prefix}-search`
  let found: boolean | undefined
  let isStored = false

  const isThere = async (): Promise<boolean> => {
    if (found !== undefined) return found
    try {
      await client.ilm.getStatus()
      found = true
    } catch (error) {
      // Servers without ILM lack this path.
      if (![400, 404, 405].includes(failureOf(error)?.status ?? 0)) throw error
      found = false
    }
    return found
  }

  return {
    isThere,
    async closed(index, until) {
      if (!(await isThere())) return
      if (!isStored) {
        await client.ilm.putLifecycle({
          name,
          policy: {
            phases: {
              hot: { actions: {} },
              warm: { min_age: '1d', actions: { forcemerge: { max_num_segments: 1 } } },
              ...(retentionMs === undefined
                ? {}
                : { delete: { min_age: `${retentionMs}ms`, actions: { delete: {} } } }),
            },
          },
        })
        isStored = true
      }
      await client.indices.putSettings({
        index,
        settings: { lifecycle: { name, origination_date: until } },
      })
    },
  }
}
