import { hostCheck } from '../base/host-names.ts'
import type { ConfabConfig } from '../infra/config/index.ts'

/**
 * Checks the header `Host` of a listener that only this machine or a developer uses: the configured names, and the
 * hosts of the web pages that may call the HTTP routes, besides `localhost` and IP addresses.
 */
export const acceptedHosts = ({ host, adminHost, hosts = [], corsOrigins = [] }: ConfabConfig) =>
  hostCheck([
    host,
    adminHost,
    ...hosts,
    ...corsOrigins.filter(origin => origin !== '*').map(origin => new URL(origin).hostname),
  ])
