import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { readTlsFiles } from '../../base/tls-files.ts'
import { defaultS3Options, type S3MediaOptions } from './options.ts'

/** Returns a client of an S3 server, without connecting. `endpoint` undefined: AWS. Throws TlsError. */
export const clientOf = (options: S3MediaOptions, endpoint: string | undefined): S3Client => {
  const { region, credentials, connectMs, timeoutMs } = { ...defaultS3Options, ...options }
  const { certificates, ...tls } = readTlsFiles('s3', options)
  const config: S3ClientConfig = {
    region,
    maxAttempts: 3,
    // By default the SDK signs a checksum of an empty body into the URL of every part, and S3 then refuses the part.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: timeoutMs,
      ...(certificates.length === 0 ? {} : { httpsAgent: tls }),
    },
    ...(credentials === undefined ? {} : { credentials }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
  }
  return new S3Client(config)
}
