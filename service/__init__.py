"""The gateway: speaks HTTP, never tensors."""
