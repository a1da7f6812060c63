"""What docker-compose.yaml promises to operators, read from the file itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.stack.env_file import SECRETS, values
from scripts.stack.health import ROLES

PROJECT = Path(__file__).resolve().parents[3]
TEXT = (PROJECT / "docker-compose.yaml").read_text("utf-8")
DOCKERFILE = (PROJECT / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]

#: They run once, and end.
ONCE = {"init", "tools"}
LASTING = sorted(set(SERVICES) - ONCE)

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(:\?|:-)?([^}]*)\}")


def variables(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, operator, default or message) of each variable in ``text``."""
    for found in _VARIABLE.finditer(text):
        yield found[1], found[2] or "", found[3]


@pytest.mark.parametrize("name", LASTING)
def test_a_service_has_a_health_check_that_ends_and_comes_back_when_it_dies(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_limits_on_the_one_network_and_may_gain_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["networks"] == ["respan"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_is_health_or_success(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert how["condition"] == expected, other


def test_no_service_waits_for_itself_in_the_end() -> None:
    started: set[str] = set()
    while ready := {n for n, s in SERVICES.items() if set(s.get("depends_on", {})) <= started} - started:
        started |= ready
    assert started == set(SERVICES)


def test_each_check_of_ours_names_a_role_that_there_is() -> None:
    asked = {s["healthcheck"]["test"][-1] for s in SERVICES.values() if "scripts.stack.health" in str(s["healthcheck"])}
    assert asked == set(ROLES)


def test_every_volume_is_named_and_the_only_folders_from_outside_are_read_only() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, *rest = volume.split(":")
            if source.startswith("."):
                assert rest[-1] == "ro"
                assert (PROJECT / source).is_dir()
            else:
                assert source in COMPOSE["volumes"]


def test_where_a_volume_is_mounted_the_image_has_a_folder_of_the_user_of_ours() -> None:
    made = re.search(r"install --directory --owner respan .*?\n(?! )", DOCKERFILE, re.S)
    assert made is not None
    ours = [service for service in SERVICES.values() if "RESPAN_IMAGE" in service["image"]]
    mounted = {volume.split(":")[1] for service in ours for volume in service["volumes"]}
    assert {"/var/lib/storage", "/var/lib/serving"} <= mounted <= set(made[0].split())


def test_no_secret_has_a_default() -> None:
    for name, operator, default in variables(TEXT):
        if name in SECRETS:
            assert operator in ("", ":?"), name
            assert operator != ":?" or "make stack-env" in default


def test_without_any_one_secret_compose_refuses() -> None:
    demanded = {name for name, operator, _ in variables(TEXT) if operator == ":?"}
    assert demanded == set(SECRETS)


def test_what_else_is_set_has_a_default_that_the_example_tells_or_is_documented() -> None:
    example = values((PROJECT / ".env.example").read_text("utf-8"))
    documented = (PROJECT / "docs" / "stack.md").read_text("utf-8")
    for name, operator, default in variables(TEXT):
        if name in SECRETS:
            continue
        assert operator == ":-", name
        assert example.get(name) == default or f"`{name}`" in documented, name


def test_the_example_holds_no_secret() -> None:
    example = values((PROJECT / ".env.example").read_text("utf-8"))
    assert {example[name] for name in SECRETS} == {""}


def test_workers_know_neither_airflows_database_nor_its_keys() -> None:
    for name in ("worker", "tools", "model-config"):
        told = json.dumps(SERVICES[name]["environment"])
        assert not {"AIRFLOW_DATABASE_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "POSTGRES_PASSWORD"} & {
            variable for variable, _, _ in variables(told)
        }


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_a_worker_may_finish_its_tasks_and_scales() -> None:
    worker = SERVICES["worker"]
    assert worker["stop_grace_period"] == "${RESPAN_DRAIN:-1h}"
    assert not {"container_name", "ports", "hostname"} & set(worker)


def test_metrics_are_behind_a_profile_and_the_dashboard_asks_for_what_is_mapped() -> None:
    assert SERVICES["statsd-exporter"]["profiles"] == ["metrics"]
    mapped = {
        each["name"]: set(each["labels"]) | {"le"}
        for each in yaml.safe_load((PROJECT / "deploy/metrics/statsd.yaml").read_text("utf-8"))["mappings"]
    }
    board = json.loads((PROJECT / "deploy/metrics/dashboard.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert all(name.startswith("respan_") for name in mapped), "else Airflow may send one that is called the same"
    asked = {name for text in expressions for name in re.findall(r"respan_(?:task|run)_[a-z_]+", text)}
    assert {name.removesuffix("_bucket") for name in asked} <= set(mapped)
    for text in expressions:
        for name in re.findall(r"respan_(?:task|run)_[a-z_]+", text):
            labels = {label.strip() for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(",")}
            assert labels <= mapped[name.removesuffix("_bucket")]
