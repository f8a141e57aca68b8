"""One command's worth of service: Redis, a worker and the gateway on this machine."""
