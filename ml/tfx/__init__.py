"""The TFX pipeline of every model: the factory that builds it, and how one run of it goes on the local target.

``factory`` builds, ``compilation`` turns the result into ``graph.json``, ``node`` runs one component through TFX's own
launcher, ``running`` prepares a run and runs all of them. Heavy, except for this module: never imported by Airflow.
"""
