import { ListMultipartUploadsCommand, ListPartsCommand, type S3Client } from '@aws-sdk/client-s3'

/** Yields confab's unfinished multipart uploads. (The SDK has no paginator for them.) */
export async function* openUploadsOf(
  client: S3Client,
  bucket: string,
): AsyncIterableIterator<{ key: string; upload: string; at: number }> {
  for (let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}; ; ) {
    const page = await client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'uploads/', ...markers }),
    )
    for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
      yield { key: Key, upload: UploadId, at: Initiated?.getTime() ?? Date.now() }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return
    const { NextKeyMarker, NextUploadIdMarker } = page
    markers = {
      KeyMarker: NextKeyMarker,
      ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
    }
  }
}

export interface ListedPart {
  readonly part: number
  readonly size: number
  readonly etag: string | undefined
}

/**
 * Returns the parts of an upload. (The SDK's paginator never ends where a server sends a next marker on the last
 * page.)
 */
export const partsOf = async (
  client: S3Client,
  upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
): Promise<ListedPart[]> => {
  const parts: ListedPart[] = []
  for (let marker: { PartNumberMarker?: string } = {}; ; ) {
    const page = await client.send(new ListPartsCommand({ ...upload, ...marker }))
    for (const { PartNumber = 0, Size = 0, ETag } of page.Parts ?? [])
      parts.push({ part: PartNumber, size: Size, etag: ETag })
    if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined)
      return parts.sort((a, b) => a.part - b.part)
    marker = { PartNumberMarker: page.NextPartNumberMarker }
  }
}
