export { ElasticsearchError, ElasticsearchProblem } from './elasticsearch-error.ts'
export type { ElasticsearchOptions } from './elasticsearch-options.ts'
export { type Elasticsearch, openElasticsearch } from './open-elasticsearch.ts'
