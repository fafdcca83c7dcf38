import { option } from '../../base/option.ts'
import { GiB, integer, KiB, MiB, orOff, size } from '../../base/option-types.ts'

const count = orOff(integer(1, 1_000_000_000))
const bytes = orOff(size(64 * KiB, 1024 * 1024 * GiB))

/** How much a user may add to the durable stores in a day (UTC), on all nodes together. */
export const quotaOptions = {
  events: option({
    key: 'edge.quotas.events',
    type: count,
    default: 200_000,
    unit: 'events',
    doc: 'Commands of one user in a day that may append to the log: messages, changes, markers; more are QUOTA_EXCEEDED.',
  }),
  eventBytes: option({
    key: 'edge.quotas.eventBytes',
    type: bytes,
    default: 512 * MiB,
    doc: 'Bytes of these commands of one user in a day; more are QUOTA_EXCEEDED.',
  }),
  newConversations: option({
    key: 'edge.quotas.newConversations',
    type: count,
    default: 2_000,
    unit: 'conversations',
    doc: 'Requests `create` and `direct` of one user in a day; more are QUOTA_EXCEEDED.',
  }),
  addedUsers: option({
    key: 'edge.quotas.addedUsers',
    type: count,
    default: 20_000,
    unit: 'users',
    doc: 'Users that one user adds or invites in a day, with `invite` and the `members` of `create`; more are QUOTA_EXCEEDED.',
  }),
  uploads: option({
    key: 'edge.quotas.uploads',
    type: count,
    default: 2_000,
    unit: 'uploads',
    doc: 'Uploads that one user announces in a day; more are QUOTA_EXCEEDED.',
  }),
  openUploads: option({
    key: 'edge.quotas.openUploads',
    type: count,
    default: 100,
    unit: 'uploads',
    doc: 'Uploads of one user, announced in a day, that are not verified; one more is QUOTA_EXCEEDED.',
  }),
  uploadBytes: option({
    key: 'edge.quotas.uploadBytes',
    type: bytes,
    default: 10 * GiB,
    doc: 'Bytes of the uploads that one user announces in a day; more are QUOTA_EXCEEDED.',
  }),
} as const

/** The quantities that a quota counts. The order is that of the stored counts. */
export const quotaKinds = [
  'events',
  'eventBytes',
  'newConversations',
  'uploads',
  'openUploads',
  'uploadBytes',
  'addedUsers',
] as const satisfies readonly (keyof typeof quotaOptions)[]

export type QuotaKind = (typeof quotaKinds)[number]
