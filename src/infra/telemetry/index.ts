export { createEdgeMetrics } from './edge-metrics.ts'
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './logger.ts'
export {
  type BackupStatus,
  createAuditMetrics,
  createBackupMetrics,
  createCertificateMetrics,
  createCommandMetrics,
  createFeedMetrics,
  createProjectionMetrics,
  createRegistry,
  createRemoteMetrics,
  createStorageMetrics,
  createVersionMetric,
} from './process-metrics.ts'
export { openTracing, type Tracing } from './tracing.ts'
export { type TracingOptions, tracingOptions } from './tracing-options.ts'
