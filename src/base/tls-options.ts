import { option } from './option.ts'
import { path } from './option-types.ts'

const keyOption = (prefix: string) =>
  option({
    key: `${prefix}.tls.key`,
    type: path,
    doc: `PEM file with the private key of \`${prefix}.tls.cert\`, without a password.`,
  })

/** The certificate of a listener. `without`: the effect of a listener without one, as a sentence. */
export const listenerTlsOptions = (prefix: string, listener: string, without: string) => ({
  certFile: option({
    key: `${prefix}.tls.cert`,
    type: path,
    doc: `PEM file with the certificate of ${listener}, followed by those of intermediate authorities. Not given: ${without}`,
  }),
  keyFile: keyOption(prefix),
})

/** The authority of client certificates. A listener with it refuses clients that have no certificate. */
export const clientCaOption = (prefix: string, clients: string) =>
  option({
    key: `${prefix}.tls.clientCa`,
    type: path,
    doc: `PEM file with the authorities of client certificates: ${clients} then need a certificate besides a token. Not given: they need none.`,
  })

/** The certificates of a connection to a server. */
export const clientTlsOptions = (prefix: string, server: string, former: { readonly ca?: string } = {}) => ({
  caFile: option({
    key: `${prefix}.tls.ca`,
    ...(former.ca === undefined ? {} : { formerKey: former.ca }),
    type: path,
    doc: `PEM file with the authorities of the certificates of ${server}. Not given: those that Node trusts; NODE_EXTRA_CA_CERTS adds some.`,
  }),
  certFile: option({
    key: `${prefix}.tls.cert`,
    type: path,
    doc: `PEM file with the certificate that confab shows to ${server}. Not given: none.`,
  }),
  keyFile: keyOption(prefix),
})
