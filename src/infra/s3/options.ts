import { defaultsOf, option, type ValuesOf } from '../../base/option.ts'
import { duration, minutes, seconds, text, url } from '../../base/option-types.ts'
import { clientTlsOptions } from '../../base/tls-options.ts'

/**
 * An S3 bucket for media. The AWS SDK reads the credentials from the environment: AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY.
 */
export const s3Options = {
  bucket: option({
    key: 's3.bucket',
    type: text,
    doc: 'Existing bucket for media; the credentials are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Not given: media is in `media.folder`.',
  }),
  endpoint: option({
    key: 's3.endpoint',
    env: 'CONFAB_S3',
    type: url('http', 'https'),
    secret: 'url',
    doc: 'Address of an S3 server. Not given: AWS.',
  }),
  publicEndpoint: option({
    key: 's3.publicEndpoint',
    type: url('http', 'https'),
    secret: 'url',
    doc: 'Address at which clients reach the S3 server; signed URLs use it. Not given: `s3.endpoint`.',
  }),
  ...clientTlsOptions('s3', 'the S3 server'),
  region: option({ key: 's3.region', type: text, default: 'us-east-1', doc: 'Region of the bucket.' }),
  connectMs: option({
    key: 's3.connectTimeout',
    type: duration(100, 5 * minutes),
    default: 3 * seconds,
    doc: 'Time that a connection to the server may take.',
  }),
  timeoutMs: option({
    key: 's3.timeout',
    type: duration(seconds, 10 * minutes),
    default: 30 * seconds,
    doc: 'Time without a byte from the server after which a request fails.',
  }),
} as const

type S3Config = ValuesOf<typeof s3Options>

/** The options of a store; those not given have their defaults. */
export interface S3MediaOptions extends Partial<S3Config> {
  readonly bucket: string
  readonly region: string
  /** Default: the SDK searches for them, first in the environment. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

export const defaultS3Options: S3Config = defaultsOf(s3Options)
