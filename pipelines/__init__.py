"""The steps of the benchmark: one importable, executable module per step, and their Snakemake rules."""
