import { newS3Media } from '../harness/s3-bucket.ts'
import { mediaTests } from './media.ts'

mediaTests('S3', newS3Media)
