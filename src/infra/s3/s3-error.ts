import { MediaProblem, MediaStoreError } from '../../media/index.ts'

interface Told {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

const told = (error: unknown): Told => (typeof error === 'object' && error !== null ? error : {})

/** Names of S3's errors for an object or an upload that is not there. HEAD has no body to name it in. */
export const isMissing = (error: unknown): boolean => {
  const { name = '' } = told(error)
  return name === 'NoSuchKey' || name === 'NoSuchUpload' || name === 'NotFound'
}

const refusals = new Set([
  'AccessDenied',
  'Forbidden',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'CredentialsProviderError',
  'AuthorizationHeaderMalformed',
  // Versity's words for an unknown key.
  'XAdminUserNotFound',
])

const lost = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'TimeoutError',
  'NetworkingError',
])

/** What S3, or the way to it, says, as the store's trouble. `place` is endpoint and bucket, without anything secret. */
export const asStoreError = (place: string, bucket: string, error: unknown): Error => {
  if (MediaStoreError.is(error)) return error
  const { name = '', code = '', $metadata } = told(error)
  const status = $metadata?.httpStatusCode
  const as = (problem: MediaProblem, message: string) => new MediaStoreError(problem, message, error)
  if (name === 'NoSuchBucket') return as(MediaProblem.noBucket, `there is no bucket ${bucket} at ${place}`)
  if (refusals.has(name) || status === 401 || status === 403)
    return as(
      MediaProblem.denied,
      `S3 at ${place} refuses (${name}): look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and at what they may do in ${bucket}`,
    )
  if (lost.has(code) || lost.has(name))
    return as(MediaProblem.unreachable, `S3 at ${place} is not reached (${code || name})`)
  if (name === 'InsufficientStorage' || name === 'QuotaExceeded' || status === 507)
    return as(MediaProblem.full, `S3 at ${place} has no space left`)
  return as(
    MediaProblem.failed,
    `S3 at ${place} answered ${name || code || String(error)}${status === undefined ? '' : ` (${status})`}`,
  )
}
