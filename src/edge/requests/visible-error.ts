import type { Logger } from '../../base/logger.ts'
import { ConfabError, type ErrorBody } from '../../events/index.ts'

/** What a client may see of an error. The rest goes to the log, and says nothing of what was sent. */
export const visibleError = (error: unknown, logger: Logger, where: object): ErrorBody => {
  if (ConfabError.is(error)) return error.toBody()
  logger.error({ ...where, err: error }, 'a request failed')
  return new ConfabError('INTERNAL').toBody()
}
