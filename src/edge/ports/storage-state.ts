/**
 * The state of the storage that the log needs: `free`; `low`, where media must not take more of it; `short`, where no
 * new conversation may either. Messages are accepted until the log itself refuses them.
 */
export type StorageState = 'free' | 'low' | 'short'
