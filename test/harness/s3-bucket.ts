import { randomBytes } from 'node:crypto'
import { CreateBucketCommand, PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3'
import { S3Media, type S3MediaOptions } from '../../src/infra/s3/index.ts'
import { service } from './service.ts'

type Tester = Parameters<typeof service>[0] & { teardown(fn: () => unknown): unknown }

export const s3Credentials = {
  accessKeyId: process.env.S3_ACCESS_KEY ?? 'test',
  secretAccessKey: process.env.S3_SECRET_KEY ?? 'testsecret',
}

/** Creates an empty bucket on the shared S3 server; undefined, with the test skipped, if there is none. */
export const newBucket = async (
  t: Tester,
): Promise<Required<Pick<S3MediaOptions, 'endpoint' | 'region' | 'bucket' | 'credentials'>> | undefined> => {
  const found = await service(t, 's3')
  if (found === undefined) return undefined
  const endpoint = `http://${found.host}:${found.port}`
  const bucket = `confab-test-${randomBytes(8).toString('hex')}`
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: s3Credentials,
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  // Pages of another origin need this rule; the README asks operators for it.
  const rule = { AllowedOrigins: ['*'], AllowedMethods: ['GET', 'PUT'], AllowedHeaders: ['*'] }
  await client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [rule] } }))
  client.destroy()
  return { endpoint, region: 'us-east-1', bucket, credentials: s3Credentials }
}

/** Creates a media store in a new bucket. */
export const newS3Media = async (t: Tester): Promise<S3Media | undefined> => {
  const options = await newBucket(t)
  if (options === undefined) return undefined
  const store = new S3Media(options)
  t.teardown(() => store.close())
  return store
}
