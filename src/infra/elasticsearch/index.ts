export type { ElasticsearchOptions } from './connect.ts'
export { ElasticsearchError, ElasticsearchProblem } from './elasticsearch-error.ts'
export { type Elasticsearch, openElasticsearch } from './open-elasticsearch.ts'
