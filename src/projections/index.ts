export * from './event-source.ts'
export * from './views.ts'
