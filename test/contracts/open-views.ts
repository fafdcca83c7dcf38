import type { Test } from 'tap'
import type { ViewStores, Views } from '../../src/projections/index.ts'

/** Stores to write and views to read the same rows. Both end with the test. */
export interface OpenViews {
  readonly stores: ViewStores
  readonly views: Views
}

/** Gives empty ones. */
export type OpenEmptyViews = (t: Test) => Promise<OpenViews>

/** ISO time of a second of one day. */
export const second = (s: number): string => new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString()
