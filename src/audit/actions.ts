/**
 * How an action is recorded.
 *
 * - `required`: before it starts and when it ends. Without the first record it does not start.
 * - `around`: before it starts and when it ends. It starts without a record, too.
 * - `after`: once, when it has ended or when it happened.
 */
export type Recording = 'required' | 'around' | 'after'

export interface ActionFacts {
  /** A sentence for docs/operations.md, which a test compares with this table. */
  readonly meaning: string
  readonly recording: Recording
  /**
   * Records of one process in a minute. Further ones are counted, and one record at the end of the minute has their
   * number. Default: no limit.
   */
  readonly perMinute?: number
}

/**
 * The actions of operators, admins and processes that are recorded. The codes are stable: a record keeps its code for
 * ever. An action that destroys data is `required`; an action that an emergency needs never is. The exception is
 * `streams.apply`, see there.
 */
export const Actions = {
  'process.start': {
    meaning: 'A process started, with its version, its roles and a hash of its options.',
    recording: 'after',
  },
  'admin.refuse': {
    meaning: 'An admin listener refused a request without a valid token, or with a token of another role.',
    recording: 'after',
    perMinute: 10,
  },
  'configuration.read': {
    meaning: 'An admin read the configuration of a process, which contains no secrets.',
    recording: 'after',
    perMinute: 10,
  },
  'state.read': {
    meaning: 'An admin read the state of the system for the page `/ops`.',
    recording: 'after',
    perMinute: 10,
  },
  /**
   * With `--allow-loss` this action removes messages, and yet no record has to precede it: it creates the audit stream
   * itself, and it repairs the settings without which that stream stores nothing. Its record also names the streams
   * that were changed before a failure.
   */
  'streams.apply': {
    meaning: 'Streams were created, or settings of streams were changed, as they are defined.',
    recording: 'after',
  },
  'streams.reshard': {
    meaning: 'An operator added streams to the log and moved partitions to them.',
    recording: 'around',
  },
  'region.failover': {
    meaning: 'An operator made a region the home of streams whose home was lost.',
    recording: 'around',
  },
  'region.switchover': {
    meaning: 'An operator moved the home of streams to another region.',
    recording: 'around',
  },
  'region.move': {
    meaning: 'An operator moved the home of one stream to another region.',
    recording: 'around',
  },
  'region.rejoin': {
    meaning: 'An operator brought a region back whose streams have their homes in other regions.',
    recording: 'around',
  },
  'lost.resubmit': {
    meaning: 'An operator sent the commands of lost events again.',
    recording: 'around',
  },
  'lost.discard': {
    meaning: 'An operator removed lost events from the list.',
    recording: 'required',
  },
  'region.cure': {
    meaning: 'An operator carried out a cure that "confab region doctor" found.',
    recording: 'around',
  },
  'backup.take': {
    meaning: 'An operator, or the schedule of a process, took a backup of streams, and removed old backups.',
    recording: 'after',
  },
  'backup.restore': {
    meaning: 'An operator restored streams from a backup, or restored them as copies to verify the backup.',
    recording: 'after',
  },
  'stores.migrate': {
    meaning: 'An operator created or upgraded the tables of the views in Cassandra.',
    recording: 'around',
  },
  'sessions.end': {
    meaning: 'An operator revoked the tokens of a session, of a user or of all users.',
    recording: 'around',
  },
  'token.issue': {
    meaning: 'An operator signed a token for a user.',
    recording: 'after',
  },
  'messages.import': {
    meaning: 'An operator imported messages in the names of their senders.',
    recording: 'required',
  },
  'projections.pause': { meaning: 'An operator paused a view.', recording: 'around' },
  'projections.resume': { meaning: 'An operator resumed a view.', recording: 'around' },
  'projections.rebuild': {
    meaning: 'An operator started the build of another generation of a view.',
    recording: 'around',
  },
  'projections.compare': {
    meaning: 'An operator compared two generations of a view, which pauses the view meanwhile.',
    recording: 'around',
  },
  'projections.switch': {
    meaning: 'An operator made queries read another generation of a view.',
    recording: 'around',
  },
  'projections.drop': {
    meaning: 'An operator deleted a generation of a view.',
    recording: 'required',
  },
  'projections.retry': {
    meaning: 'An operator applied the events of dead letters again. The letters that succeed are deleted.',
    recording: 'around',
  },
  'projections.discard': {
    meaning: 'An operator deleted dead letters without applying their events.',
    recording: 'required',
  },
} as const satisfies Readonly<Record<string, ActionFacts>>

export type ActionName = keyof typeof Actions

export const factsOf = (action: ActionName): ActionFacts => Actions[action]
