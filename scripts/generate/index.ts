import { configurationPage } from './configuration.ts'
import type { GeneratedPage } from './page.ts'

/** All generated pages; a test compares each with the file in docs/. */
export const generatedPages: readonly GeneratedPage[] = [configurationPage]
