"""Tasks: one dataset, one clean split and one noise draw for one seed, shared by every method."""
