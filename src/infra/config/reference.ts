import { allOptions } from './all-options.ts'
import { comesLater } from './options.ts'

const shown = (fallback: unknown): string =>
  Array.isArray(fallback) ? fallback.join(',') : fallback === undefined ? 'none' : String(fallback)

/** The configuration's reference: every option with its key in the file, its variable and its default. */
export const configReference = (): string => {
  const lines = allOptions.map(({ key, env, parse, fallback, written, doc }) => {
    const where = env === undefined ? key : `${key} (${env})`
    const range = parse.range === undefined ? '' : `, ${parse.range}`
    const unit = fallback === undefined ? undefined : parse.write?.(fallback)
    const preset = written ?? unit ?? shown(fallback)
    return `  ${where}, default ${preset}${range}\n      ${doc}`
  })
  const later = comesLater.length === 0 ? '' : `\nNot yet: ${comesLater.map(({ env }) => env).join(', ')}.\n`
  return `Configuration, by key of the YAML file (--config, CONFAB_CONFIG) and variable of the environment; flags beat variables, which beat the file:\n\n${lines.join('\n')}\n${later}`
}
