"""Processes that are kept running."""

import sys
from pathlib import Path

import pytest

from service.embedded import children
from service.embedded.children import Child
from tests.integration.stack import eventually


def test_pauses_grow_until_a_child_has_run_well_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three early ends, one after a while, and then a pause as short as the first."""
    monkeypatch.setattr(children, "_FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(children, "_STEADY_SECONDS", 1.0)
    program = (
        "import pathlib, sys, time; runs = pathlib.Path(sys.argv[1]);"
        "count = len(runs.read_text()) if runs.exists() else 0; runs.write_text('.' * (count + 1));"
        "time.sleep(1.5 if count == 3 else 0)"
    )
    runs = tmp_path / "runs"
    with Child("child", [sys.executable, "-c", program, str(runs)], grace_seconds=5):
        eventually(lambda: caplog.text.count("will be restarted") >= 5)
    told = [record.args[2] for record in caplog.records if "will be restarted" in record.msg]
    assert told[:5] == [0.05, 0.1, 0.2, 0.05, 0.1]
