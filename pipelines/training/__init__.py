"""What every step that trains shares: runs opened from their orders, executed, recorded."""
