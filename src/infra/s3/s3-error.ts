import { tlsErrorCode } from '../../base/tls-error.ts'
import { MediaProblem, MediaStoreError } from '../../media/index.ts'

interface Told {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

const told = (error: unknown): Told => (typeof error === 'object' && error !== null ? error : {})

/** Whether an S3 error means a missing object or upload. A HEAD answer has no body with the error's name. */
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
  // Versity's code for an unknown key.
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

/** Translates an error of S3 or of the connection. `place` is endpoint and bucket, without secrets. */
export const asStoreError = (place: string, bucket: string, error: unknown): Error => {
  if (MediaStoreError.is(error)) return error
  const { name = '', code = '', $metadata } = told(error)
  const status = $metadata?.httpStatusCode
  const as = (problem: MediaProblem, message: string) => new MediaStoreError(problem, message, error)
  if (name === 'NoSuchBucket') return as(MediaProblem.noBucket, `there is no bucket ${bucket} at ${place}`)
  if (refusals.has(name) || status === 401 || status === 403)
    return as(
      MediaProblem.denied,
      `S3 at ${place} denies access (${name}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and their permissions in ${bucket}`,
    )
  const tlsCode = tlsErrorCode(error)
  if (tlsCode !== undefined)
    return as(
      MediaProblem.failed,
      `TLS with S3 at ${place} fails (${tlsCode}): ${(error as Error).message}: check the options of s3.tls and the certificate of the server`,
    )
  if (lost.has(code) || lost.has(name))
    return as(MediaProblem.unreachable, `S3 at ${place} cannot be reached (${code || name})`)
  if (name === 'InsufficientStorage' || name === 'QuotaExceeded' || status === 507)
    return as(MediaProblem.full, `S3 at ${place} has no space left`)
  return as(
    MediaProblem.failed,
    `S3 at ${place} answered ${name || code || String(error)}${status === undefined ? '' : ` (${status})`}`,
  )
}
