"""Respan, Airflow's side: what the DAG files are wired from, and the pages in Airflow's UI.

Imports ``ml``'s light modules only; everything heavy is reached through the command line, ``python -m ml``.
"""

from respan.google_credentials import use_connection

use_connection()
