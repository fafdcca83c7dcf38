import { join } from 'node:path'

/** The database of the embedded views. */
export const viewsFile = (data: string): string => join(data, 'views', 'views.sqlite')
