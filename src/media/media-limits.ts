/** The bounds of media. */
export interface MediaLimits {
  /** Bytes of one media, at most. */
  readonly maxBytes: number
  /** How long the URLs of parts are good, ms. */
  readonly uploadUrlMs: number
  /** How long a download's URL is good, ms. */
  readonly downloadUrlMs: number
  /** Uploads that are verified at the same time; more are OVERLOADED. */
  readonly verifications: number
  /** How long the answer to a completed upload may take; then it says that the verification goes on, ms. */
  readonly verifyWaitMs: number
  /** How long what was uploaded and never sent is kept, ms. */
  readonly keepMs: number
  /** How often what is to go is looked for, ms. */
  readonly sweepEveryMs: number
}

export const defaultMediaLimits: MediaLimits = {
  maxBytes: 100 * 1024 ** 2,
  uploadUrlMs: 3_600_000,
  downloadUrlMs: 300_000,
  verifications: 8,
  verifyWaitMs: 5_000,
  keepMs: 86_400_000,
  sweepEveryMs: 600_000,
}

/** What S3 copies at once is the most that `maxBytes` may be. */
export const mostMediaBytes = 5 * 1024 ** 3
