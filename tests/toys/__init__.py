"""One small method of each kind that the contract is made for, none of them anybody's."""
