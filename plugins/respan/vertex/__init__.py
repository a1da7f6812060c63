"""The target ``vertex`` on Airflow's side: pipeline jobs, batch prediction, model registry and endpoint.

All calls go through the Google provider's hooks, which are imported inside functions: that takes seconds, and is for a
task that really speaks to Google Cloud.
"""
