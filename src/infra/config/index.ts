export {
  ConfigError,
  type ConfigSources,
  compileConfig,
  type OptionName,
  secretVariables,
  shownConfig,
  unknownVariables,
} from './compile-config.ts'
export { devSecret, ensureDataFolder } from './data-folder.ts'
export { type NodeBound, nodeBounds } from './node-bounds.ts'
export {
  allOptions,
  type ConfabConfig,
  type OptionGroup,
  optionGroups,
  options,
} from './option-groups.ts'
export { configFileOption, type Role, roles } from './process-options.ts'
export { configReference, type OptionFacts, optionFacts } from './reference.ts'
export { type Listener, openListeners } from './tls-problems.ts'
