"""Methods raced against each other: schedule, worker, statistics, report."""
