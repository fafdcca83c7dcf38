/**
 * Statistics of human conversation, taken once from the ubuntu IRC logs with disentangled conversations (Kummerfeld
 * et al., "A Large-Scale Corpus for Conversation Disentanglement", ACL 2019): 207,761 messages in 163 logs of #ubuntu
 * and 9,492 annotated conversations. The logs are not part of the project.
 */
export const ircShape = {
  /**
   * Activity: the share of the nth busiest speaker falls as n to the minus this (least squares over the logs' means,
   * ranks 1 to 60).
   */
  activityExponent: 0.88,
  /**
   * Sizes of conversations: the nth largest has the largest's messages times n to the minus this (ranks 1 to 1,000).
   */
  sizeExponent: 0.49,
  /**
   * Gaps between messages relative to a log's mean: quantiles at 0, 5, …, 95, 99, 99.9 and 100 %. The tail is heavier
   * than that of a Poisson process (variance 2.3 times the squared mean, instead of once). The logs have a resolution
   * of a minute; messages of one minute are assumed to be evenly spread.
   */
  gaps: [
    [0, 0.075],
    [0.05, 0.283],
    [0.1, 0.361],
    [0.15, 0.42],
    [0.2, 0.471],
    [0.25, 0.517],
    [0.3, 0.559],
    [0.35, 0.601],
    [0.4, 0.646],
    [0.45, 0.694],
    [0.5, 0.74],
    [0.55, 0.794],
    [0.6, 0.848],
    [0.65, 0.908],
    [0.7, 0.983],
    [0.75, 1.076],
    [0.8, 1.197],
    [0.85, 1.357],
    [0.9, 1.619],
    [0.95, 2.219],
    [0.99, 5.401],
    [0.999, 19.84],
    [1, 124.6],
  ],
} as const
