"""The benchmark: training steps timed as ratios in one run."""
