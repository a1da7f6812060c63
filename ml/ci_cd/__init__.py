"""From a change of the code to a training run with it: what the *ci_cd* DAG does on the model's side.

Which change needs what (:mod:`~ml.ci_cd.scope`), which revisions were processed (:mod:`~ml.ci_cd.revisions`), code
under test in a sandbox (:mod:`~ml.ci_cd.sandbox`), and the modules that a training run is given
(:mod:`~ml.ci_cd.modules`). Git, images and commit statuses are on Airflow's side.
"""
