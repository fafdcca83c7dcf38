import type { Test } from 'tap'
import type { StoreByProjection, ViewStores, Views } from '../../src/projections/index.ts'

/** The stores of a database with all views opened that it can hold. */
export interface OpenStores extends ViewStores {
  readonly timeline: StoreByProjection['timeline']
  readonly inbox: StoreByProjection['inbox']
  readonly readState: StoreByProjection['read-state']
  readonly roster: StoreByProjection['roster']
  readonly search: StoreByProjection['search']
}

/** Opens a generation of every view that a database can hold. Asking for another view is a mistake of the test. */
export const openGeneration = async (stores: ViewStores, generation = 1): Promise<OpenStores> => {
  const opened: Partial<Record<string, unknown>> = {}
  for (const projection of stores.projections)
    opened[projection === 'read-state' ? 'readState' : projection] = await stores.open(projection, generation)
  return { ...stores, ...opened } as OpenStores
}

/** Stores and views over the same rows. Both are closed with the test. */
export interface OpenViews {
  readonly stores: OpenStores
  readonly views: Views
}

/** Returns empty ones. */
export type OpenEmptyViews = (t: Test) => Promise<OpenViews>

/** ISO time of a second of one day. */
export const second = (s: number): string => new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString()
