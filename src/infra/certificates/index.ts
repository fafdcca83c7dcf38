export { type CertificateFacts, certificateFacts } from './certificate-facts.ts'
export {
  type Authority,
  type CertificateRequest,
  createAuthority,
  type IssuedCertificate,
  issueCertificate,
} from './issue.ts'
