"""What one ask costs Redis, measured, and how many asks a GPU answers, reckoned."""
