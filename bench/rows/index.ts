import type { Row } from '../row.ts'
import { appendRow } from './append.ts'

/** In the order of the table. */
export const rows: readonly Row[] = [appendRow]
