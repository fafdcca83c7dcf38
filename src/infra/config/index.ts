export {
  type ConfabConfig,
  ConfigError,
  type ConfigSources,
  compileConfig,
  unknownVariables,
} from './compile-config.ts'
export { ensureDataFolder } from './data-folder.ts'
export { devSecret } from './dev-secret.ts'
export { type Role, roles } from './options.ts'
export { configReference } from './reference.ts'
