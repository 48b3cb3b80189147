"""What figures and ablations share: which runs they show, runs under observation, plots."""
