"""Where a pipeline's runs on Vertex AI are: connection, project, region."""

from __future__ import annotations

from dataclasses import dataclass

from ml.errors import SettingsError
from ml.settings import Settings

DEFAULT_CONNECTION = "google_cloud_default"


@dataclass(frozen=True, slots=True)
class Place:
    """A region of a Google Cloud project, reached through an Airflow connection."""

    connection: str
    project: str
    region: str

    @property
    def parent(self) -> str:
        """The resource name of the location, below which all of it is."""
        return f"projects/{self.project}/locations/{self.region}"


def connection_of(settings: Settings) -> str:
    """The id of the Airflow connection to Google Cloud."""
    return settings.vertex.connection or DEFAULT_CONNECTION


def place_of(settings: Settings) -> Place:
    """Where ``settings`` put the pipeline. Blocks: it may read the connection.

    Raises ``SettingsError`` where neither the settings nor the connection nor its credentials name a project.
    """
    connection = connection_of(settings)
    project = settings.vertex.project or _project_of(connection)
    if not project:
        raise SettingsError(
            f"no Google Cloud project: set vertex.project of pipeline {settings.name}, or the project of Airflow "
            f"connection {connection!r}"
        )
    return Place(connection, project, settings.vertex.region)


def _project_of(connection: str) -> str | None:
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook
    from airflow.sdk.exceptions import AirflowException

    try:
        project: str | None = GoogleBaseHook(gcp_conn_id=connection).project_id
    except AirflowException as error:
        raise SettingsError(
            f"Airflow connection {connection!r} can't be used: {' '.join(str(error).split())}"
        ) from error
    return project
