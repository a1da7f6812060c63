"""Clients of what lies outside of Airflow."""
