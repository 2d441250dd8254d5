"""Looking at results: paired comparisons of policies as tables, and plots. Reads the result store and nothing else."""
