import { enableCompileCache } from 'node:module'

// Halves the time to start from the second run on. Without a writable cache folder, nothing changes.
enableCompileCache()
const { runProgram } = await import('./program.ts')
await runProgram()
