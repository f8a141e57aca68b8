"""LLaVA-NeXT with a rectified, pruned KV cache; usable from a notebook, ignorant of the service."""
