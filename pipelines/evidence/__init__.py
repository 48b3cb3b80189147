"""What figures and ablations share: the runs that they show, what runs showed under observation, plots."""
