/** Loaded into a process under test with `--import`: SIGUSR2 makes a promise reject without a handler. */
import { isMainThread } from 'node:worker_threads'

if (isMainThread)
  process.on('SIGUSR2', () => void Promise.reject(new Error('rejected without a handler, for a test')))
