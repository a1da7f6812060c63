"""Google Cloud on loopback: what unmodified Google clients reach when environment variables alone point them here.

``LoopbackCloud`` in ``cloud`` starts all of it; ``python -m tests.gcp`` runs it as a process.
"""
