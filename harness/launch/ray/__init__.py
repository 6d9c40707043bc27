"""Everything that knows Ray: the cluster, tasks, storage, groups of processes, and the search by Ray Tune."""
