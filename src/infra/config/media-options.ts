import { defaultMediaLimits, type MediaLimits, mostMediaBytes } from '../../media/index.ts'
import type { Option } from './options.ts'
import { duration, integer, size, text, url } from './values.ts'

const seconds = 1_000
const minutes = 60_000
const days = 24 * 60 * minutes
const { maxBytes, uploadUrlMs, downloadUrlMs, verifications, verifyWaitMs, keepMs, sweepEveryMs } =
  defaultMediaLimits

/** The bounds of media (src/commands/media-limits.ts). */
export const mediaOptions: { readonly [K in keyof MediaLimits]: Option<MediaLimits[K]> } = {
  maxBytes: {
    key: 'media.maxSize',
    env: 'CONFAB_MEDIA_MAX_SIZE',
    parse: size(1, mostMediaBytes),
    fallback: maxBytes,
    doc: 'Size of one attachment, at most; a larger one is TOO_LARGE.',
  },
  uploadUrlMs: {
    key: 'media.uploadUrl',
    env: 'CONFAB_MEDIA_UPLOAD_URL',
    parse: duration(minutes, 7 * days),
    fallback: uploadUrlMs,
    doc: 'How long the URL of a part of an upload is good.',
  },
  downloadUrlMs: {
    key: 'media.downloadUrl',
    env: 'CONFAB_MEDIA_DOWNLOAD_URL',
    parse: duration(seconds, 7 * days),
    fallback: downloadUrlMs,
    doc: 'How long the URL of a download is good, for whoever has it.',
  },
  verifications: {
    key: 'media.verifications',
    env: 'CONFAB_MEDIA_VERIFICATIONS',
    parse: integer(1, 1_000),
    fallback: verifications,
    doc: 'Uploads that a process verifies at the same time; one more is OVERLOADED.',
  },
  verifyWaitMs: {
    key: 'media.verifyWait',
    env: 'CONFAB_MEDIA_VERIFY_WAIT',
    parse: duration(0, 5 * minutes),
    fallback: verifyWaitMs,
    doc: 'How long a completed upload may take to be verified before its uploader is told to ask again.',
  },
  keepMs: {
    key: 'media.keep',
    env: 'CONFAB_MEDIA_KEEP',
    parse: duration(minutes, 365 * days),
    fallback: keepMs,
    doc: 'How long an upload that nobody goes on with, or that is not sent, is kept.',
  },
  sweepEveryMs: {
    key: 'media.sweepEvery',
    env: 'CONFAB_MEDIA_SWEEP_EVERY',
    parse: duration(seconds, days),
    fallback: sweepEveryMs,
    doc: 'How often a process looks for media that is to go.',
  },
}

/** Where media is kept other than in the data folder. The credentials are in the environment, as the AWS SDK looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
export const s3Options: {
  readonly bucket: Option<string | undefined>
  readonly endpoint: Option<string | undefined>
  readonly publicEndpoint: Option<string | undefined>
  readonly region: Option<string>
} = {
  bucket: {
    key: 's3.bucket',
    env: 'CONFAB_S3_BUCKET',
    parse: text,
    fallback: undefined,
    doc: 'Bucket for media, which has to be there; credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Not given: a folder, media.folder.',
  },
  endpoint: {
    key: 's3.endpoint',
    env: 'CONFAB_S3',
    parse: url('http', 'https'),
    fallback: undefined,
    doc: 'Address of an S3 server. Not given: AWS.',
  },
  publicEndpoint: {
    key: 's3.publicEndpoint',
    env: 'CONFAB_S3_PUBLIC_ENDPOINT',
    parse: url('http', 'https'),
    fallback: undefined,
    doc: 'The address at which clients reach it, where that is another: signed URLs lead there.',
  },
  region: {
    key: 's3.region',
    env: 'CONFAB_S3_REGION',
    parse: text,
    fallback: 'us-east-1',
    doc: 'Region of the bucket.',
  },
}
