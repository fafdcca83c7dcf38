/** Structured logger, as in pino. Callers log ids and error codes, never message text, tokens or addresses. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
