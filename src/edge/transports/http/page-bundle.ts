import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/** The folders of the pages, each with markup, a style sheet and a first module; and the names of the bundles. */
const pages = [
  { page: '', name: 'chat' },
  { page: 'call/', name: 'call' },
  { page: 'ops/', name: 'ops' },
] as const

/**
 * Bundles the pages of a folder: one script and one style sheet for each page, with a hash of the content in their
 * names. Returns the files by URL.
 */
export const bundlePages = async (folder: string): Promise<Map<string, Uint8Array>> => {
  const { outputFiles, metafile } = await build({
    absWorkingDir: folder,
    entryPoints: pages.flatMap(({ page, name }) =>
      ['main.ts', 'main.css'].map(file => ({ in: page + file, out: name })),
    ),
    outdir: 'assets',
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  })
  const urls = new Map(
    Object.entries(metafile.outputs).map(([path, { entryPoint = '' }]) => [`/${entryPoint}`, `/${path}`]),
  )
  const files = new Map(
    outputFiles.map(({ path, contents }) => [path.slice(folder.length), contents] as const),
  )
  for (const { page } of pages) {
    const markup = readFileSync(join(folder, page, 'index.html'), 'utf8')
    const linked = markup.replace(/(?<=(?:src|href)=")[^"]+/g, url => urls.get(url) ?? url)
    files.set(`/${page}index.html`, Buffer.from(linked))
  }
  files.set('/icon.svg', readFileSync(join(folder, 'icon.svg')))
  return files
}
