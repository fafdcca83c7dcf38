/** The versions of nats-server that confab supports. Change all fields together, and the checksums of the wheels. */
export const supportedNats = {
  /** The embedded server: any patch release of this line. */
  line: '2.15',
  /** Existing servers: at least the JetStream API level of that line, which has one fsync per batch of appends. */
  apiLevel: 5,
  /** The release that `go install` builds. */
  goVersion: '2.15.2',
  /** The release of the wheel on PyPI, whose patch releases come later. */
  wheelVersion: '2.15.1',
} as const

/** Whether the embedded server may have this version. A newer line may write files that a supported one cannot read. */
export const isSupportedVersion = (version: string): boolean => version.startsWith(`${supportedNats.line}.`)

/** Whether a version is of an older line than the supported one. */
export const isOlderLine = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [supportedMajor = 0, supportedMinor = 0] = supportedNats.line.split('.').map(Number)
  return major < supportedMajor || (major === supportedMajor && minor < supportedMinor)
}
