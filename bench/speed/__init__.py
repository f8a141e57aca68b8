"""How fast and how many: the engine against stock `generate()` and against the roofline."""
