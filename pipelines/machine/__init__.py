"""What commands share of the machine: the command line, devices, GPU slots, signals, clocks."""
