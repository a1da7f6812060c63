"""Sets up the two environments, ``$RESPAN_HOME/envs/{airflow,tfx}``, from their locks.

Runs before anything is installed: only the standard library, on Python 3.10 or newer.
"""
