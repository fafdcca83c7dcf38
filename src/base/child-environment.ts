/** Variables that any program may need. None of them holds a secret of confab. */
const common = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'TZ', 'LANG', /^LC_/]

/** Limits and debug settings of the Go runtime, which nats-server is built with. */
const goRuntime = ['GOMAXPROCS', 'GOMEMLIMIT', 'GOGC', 'GODEBUG']

/** Variables that pip and Go need to download: proxies, certificates, registries, caches. */
const downloads = [
  /^https?_proxy$/i,
  /^(no|all)_proxy$/i,
  /^SSL_CERT_/,
  'REQUESTS_CA_BUNDLE',
  /^XDG_/,
  /^PIP_/,
  /^GO/,
]

const pick = (wanted: readonly (string | RegExp)[]): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        wanted.some(name => (typeof name === 'string' ? name === entry[0] : name.test(entry[0]))),
    ),
  )

/**
 * Returns the environment of a child process: the variables that such programs need. Children must not inherit the
 * whole environment, which holds the secrets of this process. `more` adds variables.
 */
export const childEnvironment = (
  kind: 'server' | 'download' = 'server',
  more: Readonly<Record<string, string>> = {},
): Record<string, string> => ({
  ...pick(kind === 'server' ? [...common, ...goRuntime] : [...common, ...downloads]),
  ...more,
})
