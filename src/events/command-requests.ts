import { Type } from '@sinclair/typebox'
import {
  Attachment,
  Emoji,
  HistoryFrom,
  Kind,
  Posting,
  Role,
  SlowModeSeconds,
  Title,
} from './conversation-events.ts'
import { Id, Mark } from './ids.ts'
import { Limits } from './limits.ts'
import { c, data, FileFields, key, m, newData, request, text } from './request-schema.ts'
import { described, optional } from './schema.ts'
import { InvitationsFor, LastSeenFor, ReceiptsFor } from './user-events.ts'

/** Requests that append to a conversation's log. */
export const ConversationRequests = {
  create: request('create', 'Creates a conversation. The caller becomes its owner.', {
    c: described(Id, 'Id of the new conversation, chosen by the client.'),
    kind: described(Kind, 'Kind of the conversation. It never changes.'),
    title: optional(
      Title,
      'Title: not blank, without line breaks, control characters and bidirectional overrides. Absent: none.',
    ),
    members: described(
      Type.Array(Id, { maxItems: Limits.createMembers }),
      'First members, besides the caller; those that have to consent are invited. A `direct` conversation needs exactly one other user.',
    ),
    historyFrom: optional(
      HistoryFrom,
      'What members may read, as in `settings`. A `direct` conversation has no settings. Absent: `start`.',
    ),
    data,
    key,
  }),
  send: request('send', 'Posts a message.', {
    c,
    m: described(
      Id,
      'Message id, chosen by the client. A retry with the same id posts nothing; another message needs another id.',
    ),
    text: text('Text of the message. It may be blank only when there are attachments.'),
    replyTo: optional(Id, 'Id of the message that this message answers. The server does not check it.'),
    attachments: optional(
      Type.Array(
        Type.Object(
          { mediaId: Attachment.properties.mediaId, ...FileFields },
          { additionalProperties: false },
        ),
        { maxItems: Limits.attachments },
      ),
      'Uploaded and verified files of the caller.',
    ),
    data,
  }),
  edit: request('edit', 'Replaces the text of a message that the caller posted.', {
    c,
    m,
    text: text('The new text. It may not be blank.'),
    data: newData,
    key,
  }),
  delete: request('delete', 'Deletes a message.', { c, m, key }),
  react: request('react', 'Adds or removes a reaction of the caller to a message.', {
    c,
    m,
    emoji: described(
      Emoji,
      'One emoji, with or without variation selectors: the server stores its canonical form.',
    ),
    on: described(Type.Boolean(), '`true` adds the reaction, `false` removes it.'),
    key,
  }),
  invite: request('invite', 'Adds a user to a group or channel, or invites a user that has to consent.', {
    c,
    user: described(Id, 'The user to add.'),
    key,
  }),
  accept: request('accept', 'Accepts an invitation to a group or channel.', { c, key }),
  decline: request('decline', 'Declines an invitation to a group or channel.', { c, key }),
  remove: request(
    'remove',
    'Removes a member of a lower role from a group or channel, or withdraws an invitation.',
    {
      c,
      user: described(Id, 'The member to remove, or the invited user.'),
      key,
    },
  ),
  ban: request('ban', 'Bans a user from a group or channel, and removes a member.', {
    c,
    user: described(
      Id,
      'The user to ban: a member of a lower role, a follower, or a user that is not a member.',
    ),
    until: optional(
      Type.String({ minLength: 1, maxLength: 40 }),
      'End of the ban, as ISO 8601 with its zone, in the future. Absent: the ban has no end.',
    ),
    key,
  }),
  unban: request('unban', 'Lifts the ban of a user.', {
    c,
    user: described(Id, 'The banned user.'),
    key,
  }),
  role: request('role', 'Sets the role of a member.', {
    c,
    user: described(Id, 'The member.'),
    role: described(Role, 'The new role.'),
    key,
  }),
  join: request('join', 'Joins a channel.', { c, key }),
  leave: request('leave', 'Leaves a group or channel.', { c, key }),
  rename: request('rename', 'Changes the title of a group or channel.', {
    c,
    title: described(
      Title,
      'The new title: not blank, without line breaks, control characters and bidirectional overrides.',
    ),
    key,
  }),
  settings: request(
    'settings',
    'Sets who may post in a group or channel, how often, and what members may read; archives it; sets its data.',
    {
      c,
      posting: optional(
        Posting,
        'Members that may post: `everybody`, or `staff`, which are owners and admins. Absent: unchanged.',
      ),
      slowModeSeconds: optional(
        SlowModeSeconds,
        'Minimum time between two messages of a plain member, in seconds; 0 turns slow mode off. Absent: unchanged.',
      ),
      historyFrom: optional(
        HistoryFrom,
        'What members may read: `start`, everything; `join`, the events from their own joining on. It holds for all members at once. Absent: unchanged.',
      ),
      archived: optional(
        Type.Boolean(),
        '`true` archives the conversation: nothing is posted in it. `false` opens it again. Absent: unchanged.',
      ),
      data: newData,
      key,
    },
  ),
} as const

/** Requests that append to the log of a user. */
export const UserRequests = {
  read: request('read', 'Moves the caller’s read marker forward.', {
    c,
    seq: described(Mark, 'Sequence number of the last event that the user has read.'),
  }),
  delivered: request('delivered', 'Moves the caller’s delivered marker forward.', {
    c,
    seq: described(Mark, 'Sequence number of the last event that a device of the user has received.'),
  }),
  mute: request('mute', 'Mutes or unmutes a conversation for the caller.', {
    c,
    on: described(Type.Boolean(), '`true` mutes, `false` unmutes.'),
  }),
  hide: request('hide', 'Hides a conversation from the caller’s inbox, or shows it again.', {
    c,
    on: described(Type.Boolean(), '`true` hides, until there is a new message. `false` shows.'),
  }),
  block: request('block', 'Blocks or unblocks a user.', {
    user: described(Id, 'The user to block or unblock. It may not be the caller.'),
    on: described(Type.Boolean(), '`true` blocks, `false` unblocks.'),
  }),
  direct: request('direct', 'Returns the direct conversation with a user, and creates it if there is none.', {
    user: described(Id, 'The other user. It may not be the caller.'),
  }),
  profile: request('profile', 'Sets or returns the data of the caller’s profile, which all users may read.', {
    data: newData,
  }),
  privacy: request(
    'privacy',
    'Sets or returns which users may see the presence and the markers of the caller, and add the caller to conversations.',
    {
      lastSeen: optional(
        LastSeenFor,
        'Users that may see whether the caller is online, and when the caller last was. Absent: unchanged. Initially `contacts`.',
      ),
      receipts: optional(
        ReceiptsFor,
        'Users that may see the read and delivered markers of the caller, in `receipt` signals and in `members`. Absent: unchanged. Initially `everybody`.',
      ),
      invitations: optional(
        InvitationsFor,
        'Users that may add the caller to groups and channels: `everybody`; `contacts`, and others invite; `nobody`, and no user invites either. Absent: unchanged. Initially `everybody`.',
      ),
    },
  ),
} as const
