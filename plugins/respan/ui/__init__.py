"""Pages in Airflow's UI: who serves, what is open, and the evaluation reports."""
