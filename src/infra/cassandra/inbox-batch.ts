import type {
  ActivityChange,
  AmendmentChange,
  CreatedChange,
  DeliveredMarkChange,
  FollowsChange,
  InboxChange,
  MembershipChange,
  MessageChange,
  MuteChange,
  ReadMarkChange,
  TitleChange,
} from '../../projections/index.ts'

/** The read marker that follows from a user's own messages or from joining. */
interface Sent {
  readonly user: string
  readonly c: string
  readonly seq: number
  readonly n: number
}

const keepNewest = <T extends { readonly seq: number }>(in_: Map<string, T>, key: string, one: T): void => {
  const other = in_.get(key)
  if (other === undefined || one.seq > other.seq) in_.set(key, one)
}

const keepGreatest = <T extends { readonly mark: number }>(
  in_: Map<string, T>,
  key: string,
  one: T,
): void => {
  const other = in_.get(key)
  if (other === undefined || one.mark > other.mark) in_.set(key, one)
}

/** The changes of a batch, reduced to the last state of each row: a hot row is written once. */
export class InboxBatch {
  readonly heads = new Map<string, ActivityChange | MessageChange>()
  readonly lasts = new Map<string, MessageChange>()
  readonly amended = new Map<string, number>()
  readonly messages: MessageChange[] = []
  readonly amendments = new Map<string, AmendmentChange>()
  readonly created: CreatedChange[] = []
  readonly titles = new Map<string, TitleChange>()
  readonly members = new Map<string, MembershipChange>()
  readonly sent = new Map<string, Sent>()
  readonly reads = new Map<string, ReadMarkChange>()
  readonly deliveries = new Map<string, DeliveredMarkChange>()
  readonly mutes = new Map<string, MuteChange>()
  readonly follows = new Map<string, FollowsChange>()

  add(change: InboxChange): void {
    const { c } = change
    switch (change.kind) {
      case 'activity':
        keepNewest(this.heads, c, change)
        break
      case 'message': {
        const { from: user, seq, n } = change
        this.messages.push(change)
        keepNewest(this.heads, c, change)
        keepNewest(this.lasts, c, change)
        keepNewest(this.sent, `${user} ${c}`, { user, c, seq, n })
        break
      }
      case 'amendment':
        keepNewest(this.amendments, `${c} ${change.m}`, change)
        this.amended.set(c, Math.max(change.seq, this.amended.get(c) ?? 0))
        break
      case 'created':
        this.created.push(change)
        break
      case 'title':
        keepNewest(this.titles, c, change)
        break
      case 'membership':
        keepNewest(this.members, `${change.user} ${c}`, change)
        break
      case 'came':
        keepNewest(this.sent, `${change.user} ${c}`, change)
        break
      case 'read':
        keepGreatest(this.reads, `${change.user} ${c}`, change)
        break
      case 'delivered':
        keepGreatest(this.deliveries, `${change.user} ${c}`, change)
        break
      case 'mute':
        keepNewest(this.mutes, `${change.user} ${c}`, change)
        break
      case 'follows':
        keepNewest(this.follows, `${change.user} ${c}`, change)
    }
  }
}
