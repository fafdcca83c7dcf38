import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

/** A package of package-lock.json. */
export interface LockedPackage {
  /** Where npm installs it: `node_modules/…`. */
  readonly path: string
  /** Its name in the registry. */
  readonly name: string
  readonly version: string
  readonly integrity?: string
  /** SPDX expression. */
  readonly license?: string
  readonly dev?: boolean
}

interface LockEntry extends Omit<LockedPackage, 'path' | 'name'> {
  /** The name in the registry, where the package is installed under another one. */
  readonly name?: string
}

/** Returns all packages of package-lock.json. */
export const lockedPackages = (): LockedPackage[] => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockEntry>>
  }
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({ ...entry, path, name: entry.name ?? path.replace(/^.*node_modules\//, '') }))
}

/** Returns the paths of the packages whose code is in the bundled pages. They are devDependencies in package.json. */
const bundledPaths = async (): Promise<ReadonlySet<string>> => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['src/web/main.ts', 'src/web/call/main.ts'],
    outdir: 'dist',
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  })
  const ofFile = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//
  return new Set(Object.keys(metafile.inputs).flatMap(path => ofFile.exec(path)?.[1] ?? []))
}

/** Returns the packages that an installation of confab runs: its dependencies, and those that the pages contain. */
export const shippedPackages = async (): Promise<LockedPackage[]> => {
  const bundled = await bundledPaths()
  return lockedPackages().filter(({ path, dev }) => dev !== true || bundled.has(path))
}
