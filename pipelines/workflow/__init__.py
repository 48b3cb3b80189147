"""What the Snakemake rules need: which sources a step depends on, folders, leftovers."""
