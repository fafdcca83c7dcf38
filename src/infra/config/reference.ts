import { comesLater, type Option, options } from './options.ts'

const shown = (fallback: unknown): string =>
  Array.isArray(fallback) ? fallback.join(',') : fallback === undefined ? 'none' : String(fallback)

/** The configuration's reference: every option with its key in the file, its variable and its default. */
export const configReference = (): string => {
  const lines = (Object.values(options) as Option[]).map(({ key, env, fallback, written, doc }) => {
    const where = env === undefined ? key : `${key} (${env})`
    return `  ${where}, default ${written ?? shown(fallback)}\n      ${doc}`
  })
  return `Configuration, by key of the YAML file (--config, CONFAB_CONFIG) and variable of the environment; flags beat variables, which beat the file:\n\n${lines.join('\n')}\n\nNot yet: ${comesLater.map(({ env }) => env).join(', ')}.\n`
}
