"""How much pruning costs: protocols that can tell methods apart, measured and written down."""
