export { loadUws, type UwsModule } from './load.ts'
