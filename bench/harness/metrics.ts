/** Returns the sum of a metric's values over all labels, from an admin listener; NaN if the metric does not exist. */
export const metricOf = async (adminPort: number, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const found = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? ([\\d.e+-]+)$`, 'gm'))]
  return found.length === 0 ? Number.NaN : found.reduce((sum, [, value]) => sum + Number(value), 0)
}
