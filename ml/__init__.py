"""Respan, the model's side: data, training, evaluation and release of one model. Never imports Airflow.

Modules directly in this package and in ``ml.storage`` are *light*: they run in Airflow's environment and in TFX's, and
import neither tensorflow nor tfx. Everything heavy is reached through the command line, ``python -m ml``.
"""
