import { enableCompileCache } from 'node:module'

// Halves the time to start from the second run on. Without a writable cache folder, nothing changes.
enableCompileCache()
// Only their owner can read files that confab and its child processes create: logs, views, media.
process.umask(0o077)
const { runProgram } = await import('./program.ts')
await runProgram()
