import { groups } from './limit-options.ts'
import { type Option, options } from './options.ts'

/** Every option, in the order of the reference. */
export const allOptions = [
  ...Object.values(options),
  ...Object.values(groups).flatMap(group => Object.values(group)),
] as readonly Option[]
