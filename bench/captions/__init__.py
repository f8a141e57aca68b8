"""Caption quality: CIDEr, and readers of the caption files that a user may have."""
