"""The stack of ``docker-compose.yaml``: its secrets, its first start, its health, and the check of it all."""
