const browsers = /(Firefox|Edg|OPR|Chrome|Safari)\//
const systems = /(Android|iPhone|iPad|Windows|Macintosh|CrOS|Linux)/
const labels: Readonly<Record<string, string>> = {
  Edg: 'Edge',
  OPR: 'Opera',
  Macintosh: 'Mac',
  CrOS: 'ChromeOS',
}

const found = (pattern: RegExp, text: string): string => {
  const [, name = ''] = pattern.exec(text) ?? []
  return labels[name] ?? name
}

/**
 * Returns a device name for this tab, such as `Firefox-Linux-5f0c2a91`: readable for the user, and unique, because a
 * session replaces others of the same device. Undefined where the browser is unknown.
 */
export const newDeviceName = (userAgent: string, random: string): string | undefined => {
  // Browsers built on Chrome name it too.
  const browser = found(/(Edg|OPR)\//, userAgent) || found(browsers, userAgent)
  const system = found(systems, userAgent)
  return browser === '' || system === '' ? undefined : `${browser}-${system}-${random}`
}

/** Returns a device name for people: `Firefox on Linux`. Undefined for a name that only programs understand. */
export const deviceLabel = (device: string | undefined): string | undefined => {
  const [, browser, system] = /^([A-Za-z]+)-([A-Za-z]+)-[0-9a-f]{8}$/.exec(device ?? '') ?? []
  if (browser !== undefined) return `${browser} on ${system}`
  const isUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(device ?? '')
  return isUuid ? undefined : device
}
