import { enableCompileCache } from 'node:module'

// Halves the time to start from the second run on. Without a writable cache folder, nothing changes.
enableCompileCache()
// Files of confab and of its child processes are readable for their owner only: the log of a system, its views, its media.
process.umask(0o077)
const { runProgram } = await import('./program.ts')
await runProgram()
