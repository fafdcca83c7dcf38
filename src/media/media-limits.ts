import { defaultsOf, option, type ValuesOf } from '../base/option.ts'
import { days, duration, GiB, hours, integer, MiB, minutes, seconds, size } from '../base/option-types.ts'

/** S3 copies objects of up to 5 GiB in one request. */
export const mostMediaBytes = 5 * GiB

/** The bounds of media. */
export const mediaOptions = {
  maxBytes: option({
    key: 'media.maxSize',
    type: size(1, mostMediaBytes),
    default: 100 * MiB,
    doc: 'Largest attachment; a larger one is TOO_LARGE.',
  }),
  uploadUrlMs: option({
    key: 'media.uploadUrl',
    type: duration(minutes, 7 * days),
    default: hours,
    doc: 'Time that the signed URL of an upload part is valid.',
  }),
  downloadUrlMs: option({
    key: 'media.downloadUrl',
    type: duration(seconds, 7 * days),
    default: 5 * minutes,
    doc: 'Time that the signed URL of a download is valid, for every holder of the URL.',
  }),
  verifications: option({
    key: 'media.verifications',
    type: integer(1, 1_000),
    default: 8,
    unit: 'uploads',
    doc: 'Uploads that a process verifies at the same time. Further ones wait, the users in turn.',
  }),
  userVerifications: option({
    key: 'media.userVerifications',
    type: integer(1, 1_000),
    default: 2,
    unit: 'uploads',
    doc: 'Uploads of one user that a process verifies at the same time. Eight times as many may wait; one more is OVERLOADED.',
  }),
  transfers: option({
    key: 'media.transfers',
    type: integer(1, 1_000_000),
    default: 1_000,
    unit: 'transfers',
    doc: 'Parts and downloads that a process transfers at the same time, without S3; one more is OVERLOADED.',
  }),
  addressTransfers: option({
    key: 'media.addressTransfers',
    type: integer(1, 1_000_000),
    default: 250,
    unit: 'transfers',
    doc: 'Transfers of `media.transfers` that one client address has at the same time; one more is OVERLOADED.',
  }),
  verifyWaitMs: option({
    key: 'media.verifyWait',
    type: duration(0, 5 * minutes),
    default: 5 * seconds,
    doc: 'Time that the answer to a completed upload waits for the verification. Then the answer says that the verification continues.',
  }),
  keepMs: option({
    key: 'media.keep',
    type: duration(minutes, 365 * days),
    default: days,
    doc: 'Time that the store keeps an upload that is not completed or not sent in a message.',
  }),
  sweepEveryMs: option({
    key: 'media.sweepEvery',
    type: duration(seconds, days),
    default: 10 * minutes,
    doc: 'Time between two sweeps of expired media.',
  }),
} as const

export type MediaLimits = ValuesOf<typeof mediaOptions>

export const defaultMediaLimits: MediaLimits = defaultsOf(mediaOptions)
