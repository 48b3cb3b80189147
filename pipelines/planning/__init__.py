"""What a profile costs: disk and hours."""
