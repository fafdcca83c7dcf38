import type { Nats } from '../../src/infra/nats/index.ts'

/** Records the subjects of everything that a connection publishes or subscribes to, until `stop`. */
export const recordSubjects = ({ connection }: Nats): { readonly subjects: string[]; stop(): void } => {
  const subjects: string[] = []
  const { publish, request, subscribe } = connection
  connection.publish = (subject, ...rest) => {
    subjects.push(subject)
    publish.call(connection, subject, ...rest)
  }
  connection.request = (subject, ...rest) => {
    subjects.push(subject)
    return request.call(connection, subject, ...rest)
  }
  connection.subscribe = (subject, ...rest) => {
    subjects.push(subject)
    return subscribe.call(connection, subject, ...rest)
  }
  return {
    subjects,
    stop: () => void Object.assign(connection, { publish, request, subscribe }),
  }
}

/** Subjects that a node uses by itself: it stores presence, last-seen times and quotas some time after a request. */
const ofItsOwn =
  /^(_INBOX\.|\$KV\.confab-(presence|last-seen|quotas)\.|\$JS\.API\.(CONSUMER|INFO|STREAM\.INFO)|\$JS\.API\.(STREAM\.MSG|DIRECT)\.GET\.KV_confab-(last-seen|quotas)|digests\.|\$JS\.FC\.)/

/** Returns the recorded subjects that requests of clients cause. */
export const causedByClients = (subjects: readonly string[]): string[] =>
  subjects.filter(subject => !ofItsOwn.test(subject))
