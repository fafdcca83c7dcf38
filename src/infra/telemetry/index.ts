export { createEdgeMetrics } from './edge-metrics.ts'
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './logger.ts'
export {
  createAuditMetrics,
  createCommandMetrics,
  createFeedMetrics,
  createProjectionMetrics,
  createRegistry,
  createRemoteMetrics,
  createStorageMetrics,
} from './process-metrics.ts'
