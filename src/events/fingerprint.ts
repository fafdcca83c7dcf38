import { type AppDataChange, canonicalJson, dataChangeOf, newData } from './app-data.ts'
import type {
  Attachment,
  ConversationEvent,
  ConversationEventType,
  ConversationSettingsChanged,
  HistoryFrom,
} from './conversation-events.ts'
import { canonicalEmoji } from './emoji.ts'
import type { ConversationRequest } from './protocol.ts'

/**
 * The type and content of an event, to recognise a repetition of its request. `fingerprint` undefined: a build without
 * fingerprints recorded the event, and any content counts as the same.
 */
export interface RecordedContent {
  readonly type: ConversationEventType
  readonly fingerprint: number | undefined
}

/**
 * Returns a number that identifies the content of an event: the fields that its request chose, in canonical form. Equal
 * contents have equal fingerprints. Different contents of one type differ, except for one pair in 2^53.
 */
export const fingerprintOf = (event: ConversationEvent): number => {
  switch (event.type) {
    case 'message.posted':
      return withData(ofMessage(event.text, event.replyTo, event.attachments), event.data)
    case 'message.edited':
      return withData(hash(event.text, hash(event.m)), event.data)
    case 'message.deleted':
      return hash(event.m)
    case 'reaction.added':
    case 'reaction.removed':
      return ofReaction(event.m, event.emoji)
    case 'member.joined':
    case 'member.left':
      return ofMember(event.user, event.from)
    case 'member.banned':
      return ofBan(event.user, event.until)
    case 'member.unbanned':
    case 'member.invited':
      return hash(event.user)
    case 'member.uninvited':
      return event.accepted === true ? acceptance : ofMember(event.user, event.from)
    case 'member.role_changed':
      return hash(event.role, hash(event.user))
    case 'conversation.renamed':
      return hash(event.title)
    case 'conversation.created':
      return withData(
        ofCreation(
          event.kind,
          event.title,
          [...event.members.map(({ user }) => user), ...(event.invited ?? [])],
          event.historyFrom,
        ),
        event.data,
      )
    case 'conversation.settings_changed':
      return ofSettings(event)
  }
}

/** Whether a request of this user asks for the content that was recorded, so that it may be a retry. */
export const asksFor = (request: ConversationRequest, from: string, recorded: RecordedContent): boolean => {
  const { type, fingerprint } = recorded
  if (type !== eventTypeOf(request) && type !== otherTypes[request.t]) return false
  return (
    fingerprint === undefined || fingerprint === fingerprintOfRequest(request, from, { type, fingerprint })
  )
}

/** The other type of event that some requests produce, where the user has to consent or is only invited. */
const otherTypes: { readonly [T in ConversationRequest['t']]?: ConversationEventType } = {
  invite: 'member.invited',
  remove: 'member.uninvited',
  join: 'member.uninvited',
  accept: 'member.uninvited',
}

/** Returns the type of the event that a request usually produces. */
const eventTypeOf = (request: ConversationRequest): ConversationEventType => {
  switch (request.t) {
    case 'create':
      return 'conversation.created'
    case 'send':
      return 'message.posted'
    case 'edit':
      return 'message.edited'
    case 'delete':
      return 'message.deleted'
    case 'react':
      return request.on ? 'reaction.added' : 'reaction.removed'
    case 'invite':
    case 'join':
    case 'accept':
      return 'member.joined'
    case 'decline':
      return 'member.uninvited'
    case 'remove':
    case 'leave':
      return 'member.left'
    case 'ban':
      return 'member.banned'
    case 'unban':
      return 'member.unbanned'
    case 'role':
      return 'member.role_changed'
    case 'rename':
      return 'conversation.renamed'
    case 'settings':
      return 'conversation.settings_changed'
  }
}

/** A request may omit settings. They are taken from `recorded`, because the event has all of them. */
const fingerprintOfRequest = (
  request: ConversationRequest,
  from: string,
  recorded: { readonly type: ConversationEventType; readonly fingerprint: number },
): number => {
  switch (request.t) {
    case 'create':
      return withData(
        ofCreation(request.kind, request.title, [from, ...request.members], request.historyFrom),
        newData(request.data),
      )
    case 'send':
      return withData(ofMessage(request.text, request.replyTo, request.attachments), newData(request.data))
    case 'edit':
      return withData(hash(request.text, hash(request.m)), dataChangeOf(request.data))
    case 'delete':
      return hash(request.m)
    case 'react':
      return ofReaction(request.m, request.emoji)
    case 'invite':
    case 'remove':
    case 'unban':
      return hash(request.user)
    case 'ban':
      return ofBan(request.user, request.until)
    case 'join':
    case 'accept':
      return recorded.type === 'member.uninvited' ? acceptance : ofMember(from, from)
    case 'leave':
    case 'decline':
      return ofMember(from, from)
    case 'role':
      return hash(request.role, hash(request.user))
    case 'rename':
      return hash(request.title)
    case 'settings': {
      const { posting, slowModeSeconds, archived, historyFrom } = settingsOf(recorded.fingerprint)
      return ofSettings({
        posting: request.posting ?? posting,
        slowModeSeconds: request.slowModeSeconds ?? slowModeSeconds,
        archived: request.archived ?? archived,
        historyFrom: request.historyFrom ?? historyFrom,
        data: dataChangeOf(request.data),
      })
    }
  }
}

/** An upload is identified by its id: its other fields cannot differ. */
const ofMessage = (
  text: string,
  replyTo: string | undefined,
  attachments: readonly Attachment[] = [],
): number =>
  replyTo === undefined && attachments.length === 0
    ? hash(text)
    : hash(text, hash([replyTo ?? '', ...attachments.map(({ mediaId }) => mediaId)].join(' ')))

const ofReaction = (m: string, emoji: string): number => hash(canonicalEmoji(emoji) ?? emoji, hash(m))

/** The fingerprint of an accepted invitation whose user follows the channel. */
const acceptance = 1

/** 0 for a user who joins or leaves: another user who adds or removes a member makes another event. */
const ofMember = (user: string, from: string): number => (user === from ? 0 : hash(user))

const ofCreation = (
  kind: string,
  title: string | undefined,
  users: readonly string[],
  historyFrom: HistoryFrom | undefined,
): number => {
  const seed = historyFrom === 'join' ? hash(historyFrom, hash(kind)) : hash(kind)
  return hash(title ?? '', hash([...new Set(users)].sort().join(' '), seed))
}

/** Adds data, in any order of keys, to a fingerprint. Without data the fingerprint is that of versions before it. */
const withData = (fingerprint: number, data: AppDataChange | undefined): number =>
  data === undefined ? fingerprint : hash(canonicalJson(data), fingerprint)

const ofBan = (user: string, until = ''): number => hash(until, hash(user))

type Settings = Pick<
  ConversationSettingsChanged,
  'posting' | 'slowModeSeconds' | 'archived' | 'historyFrom'
> & {
  readonly data?: AppDataChange | undefined
}

/** Bits of the settings. The first is `staff`, the next 15 are the seconds of slow mode. */
const archivedBit = 2 ** 16
const joinBit = 2 ** 17

/** Values of the settings besides `data`, as a number below this one. */
const settingsValues = 2 ** 20

/**
 * The settings themselves, so that a request that omits some of them can be compared; above them 32 bits of a hash of
 * the data, 0 for a request without data.
 */
const ofSettings = ({ posting, slowModeSeconds, archived, historyFrom, data }: Settings): number => {
  const settings =
    (posting === 'staff' ? 1 : 0) +
    slowModeSeconds * 2 +
    (archived === true ? archivedBit : 0) +
    (historyFrom === 'join' ? joinBit : 0)
  return data === undefined
    ? settings
    : settings + (hash(canonicalJson(data)) % 2 ** 32 || 1) * settingsValues
}

const settingsOf = (fingerprint: number): Required<Omit<Settings, 'data'>> => {
  const settings = fingerprint % settingsValues
  return {
    posting: settings % 2 === 1 ? 'staff' : 'everybody',
    slowModeSeconds: Math.floor((settings % archivedBit) / 2),
    archived: (settings & archivedBit) !== 0,
    historyFrom: (settings & joinBit) !== 0 ? 'join' : 'start',
  }
}

/** Spreads the bits of a 32-bit number: the finaliser of MurmurHash3. */
const mix = (bits: number): number => {
  const half = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  const whole = Math.imul(half ^ (half >>> 13), 0xc2b2ae35)
  return (whole ^ (whole >>> 16)) >>> 0
}

/**
 * Returns a 53-bit hash of a text and a seed, which may be a hash. Two FNV-1a hashes over the UTF-16 code units, with
 * different primes; one multiplication each a unit, and no allocation.
 */
const hash = (text: string, seed = 0): number => {
  let low = 0x811c9dc5 ^ seed
  let high = 0x050c5d1f ^ Math.floor(seed / 2 ** 32)
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x9e3779b1)
  }
  return (mix(high ^ text.length) & 0x1fffff) * 2 ** 32 + mix(low ^ high)
}
