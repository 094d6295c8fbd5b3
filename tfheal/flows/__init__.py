"""Stories: one per verb, over ports; what to do in which order, and nothing else."""
