import { option } from '../../../base/option.ts'
import { textMatching } from '../../../base/option-types.ts'

/** The prefix of inboxes where none is configured. All others start with it, which shows a responder an inbox. */
export const defaultInboxPrefix = '_INBOX'

export const inboxOptions = {
  natsInboxPrefix: option({
    key: 'nats.inboxPrefix',
    type: textMatching(/^_INBOX[A-Za-z0-9_-]{0,64}$/, '_INBOX, or _INBOX with a name such as _INBOX_EDGE'),
    default: defaultInboxPrefix,
    doc: 'Prefix of the subjects on which the process receives answers. A user with few rights may subscribe to its own prefix only, so that it cannot read the answers to others; see `nats/users.conf`.',
  }),
} as const
