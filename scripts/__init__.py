"""What a person runs from the checkout: set-up, tests, the demo, Airflow on this machine."""
