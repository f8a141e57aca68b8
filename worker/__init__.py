"""The shell round the engine: the wire on one side, myopia on the other."""
