"""docker-compose.yml says what this code understands."""

from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from raiw.cli.app import app
from service.settings import Settings

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text("utf-8"))
OURS = {
    name: part
    for name, part in COMPOSE["services"].items()
    if part.get("image", "").startswith("raiw")
}


def test_the_parts_are_those_of_the_design() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "redis", "migrate", "api"} | {
        "worker-cpu",
        "worker-gpu",
    }
    assert COMPOSE["services"]["worker-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("name", OURS)
def test_our_parts_run_a_known_command_with_known_settings_and_no_rights(name: str) -> None:
    part = OURS[name]
    program, command, *options = part["command"]
    assert program == "raiw"
    known = get_command(app).get_command(None, command)  # type: ignore[attr-defined]
    flags = {flag for option in known.params for flag in (*option.opts, *option.secondary_opts)}
    assert {option for option in options if option.startswith("--")} <= flags
    fields = {f"RAIW_{field.upper()}" for field in Settings.model_fields}
    assert set(part["environment"]) <= fields
    assert part["read_only"]
    assert part["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "migrate"])
def test_what_stays_up_tells_its_health(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]
