"""The document against the server, by Schemathesis; ``tests.bench.api_fuzz`` runs it for long."""

from pathlib import Path

from tests.bench.api_fuzz import fuzz


def test_the_server_does_what_the_document_says(tmp_path: Path) -> None:
    status, said = fuzz(tmp_path, seed=1, examples=3, phases="examples,fuzzing,stateful")
    assert status == 0, said
