import { createServer } from 'node:net'

/** Returns why a process cannot listen at an address, as an error code of the system; undefined: it can. */
export const portProblem = (host: string, port: number): Promise<string | undefined> =>
  new Promise(resolve => {
    const server = createServer()
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? error.message))
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })

const reasons: Record<string, string> = {
  EADDRINUSE: 'another process listens there',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'the port requires privileges',
  ENOTFOUND: 'the host name is unknown',
}

/** Describes the result of `portProblem` to the operator. */
export const portReason = (problem: string): string => reasons[problem] ?? problem
