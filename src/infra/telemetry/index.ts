export { createEdgeMetrics } from './edge-metrics.ts'
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './logger.ts'
export { createProjectionMetrics } from './projection-metrics.ts'
export { createRegistry } from './registry.ts'
