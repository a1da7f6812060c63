"""Shows pipelines with broken settings as one import error, while the DAGs of all others go on.

Airflow drops every DAG of a file that it can't import, so this file has none.
"""

from __future__ import annotations

from respan.discovery import problems

from ml.errors import SettingsError

if found := problems():
    raise SettingsError("\n".join(found))
