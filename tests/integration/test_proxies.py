"""The proxies of deploy/proxy before a real server: TLS, uploads, ranges, events, who has asked."""

import hashlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from service.tether import tied
from tests.integration.stack import SETTINGS, Stack, eventually, free_port

DEPLOY = Path(__file__).parents[2] / "deploy" / "proxy"
TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
BROWSER = {"Accept": "text/html"}
SPEC = {
    "layers": [{"name": "fc", "kind": "linear", "in_features": 256, "out_features": 256}],
    "craft": {"degree": 16},
}
ANY_CERTIFICATE = ssl.create_default_context()
ANY_CERTIFICATE.check_hostname = False
ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE
PROXIES = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here"))
    for name in ("caddy", "nginx")
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack("sqlite", settings=SETTINGS | {"RAIW_TOKEN": TOKEN})
    yield stack
    stack.stop()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory) -> Iterator[str]:
    """Yield the address of a proxy that runs with our file, but for name, ports and certificate."""
    folder = tmp_path_factory.mktemp(request.param)
    port = free_port()
    make = {"caddy": caddy, "nginx": nginx}[request.param]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            tied(*make(folder, port, stack.url.removeprefix("http://"))),
            stdout=log,
            stderr=log,
            env=os.environ | {"XDG_DATA_HOME": str(folder), "HOME": str(folder)},
        )
    url = f"https://localhost:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/livez", verify=ANY_CERTIFICATE).is_success
        return False

    eventually(answers, 60)
    yield url
    process.terminate()
    process.wait()


def caddy(folder: Path, port: int, upstream: str) -> list[str]:
    text = (DEPLOY / "Caddyfile").read_text("utf-8")
    # A certificate of its own, which it does not ask this machine to trust, and no port 80.
    text = text.replace("admin off", "admin off\nskip_install_trust\nauto_https disable_redirects")
    text = text.replace("raiw.example.com {", f"https://localhost:{port} {{\ntls internal")
    file = folder / "Caddyfile"
    file.write_text(text.replace("127.0.0.1:8321", upstream))
    return [str(shutil.which("caddy")), "run", "--adapter", "caddyfile", "--config", str(file)]


def nginx(folder: Path, port: int, upstream: str) -> list[str]:
    key, certificate = folder / "key.pem", folder / "fullchain.pem"
    made = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made],
        check=True,
        capture_output=True,
    )
    text = (DEPLOY / "nginx.conf").read_text("utf-8").replace("127.0.0.1:8321", upstream)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("/etc/ssl/raiw", str(folder)).replace("raiw.example.com", "localhost")
    kept = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; pid {folder}/pid; events {{}}\nhttp {{ access_log off;\n{kept}{text}\n}}\n"
    )
    return [str(shutil.which("nginx")), "-e", "stderr", "-p", str(folder), "-c", str(file)]


@pytest.fixture
def http(proxy: str) -> Iterator[httpx.Client]:
    verify = ANY_CERTIFICATE
    with httpx.Client(base_url=proxy, headers=BEARER, verify=verify, timeout=60) as client:
        yield client


def test_large_files_pass_both_ways_and_in_parts(stack: Stack, http: httpx.Client) -> None:
    file = save({"fc": np.random.default_rng(1).standard_normal((1024, 2048))})  # 16 MiB
    digest = f"sha256:{hashlib.sha256(file).hexdigest()}"
    assert http.put(f"/v1/blobs/{digest}", content=file).status_code in (200, 201)
    whole = http.get(f"/v1/blobs/{digest}")
    part = http.get(f"/v1/blobs/{digest}", headers={"Range": "bytes=1000-2000999"})
    assert whole.content == file
    assert part.status_code == 206
    assert part.content == file[1000:2001000]
    etag = whole.headers["etag"]
    assert http.get(f"/v1/blobs/{digest}", headers={"If-None-Match": etag}).status_code == 304


def test_events_come_as_they_happen(stack: Stack, http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={"spec": SPEC | {"name": str(http.base_url)}}).json()
    with http.stream(
        "GET", job["urls"]["events"], headers={"Accept": "text/event-stream"}
    ) as stream:
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        # No worker is there, so the stream has not ended and a proxy that collects shows nothing.
        assert '"queued"' in first
        assert http.post(job["urls"]["cancel"]).is_success
        assert any('"canceled"' in line for line in lines)


def test_a_long_poll_is_not_cut_off(stack: Stack, http: httpx.Client) -> None:
    job = http.post("/v1/jobs", json={"spec": SPEC | {"name": f"poll {http.base_url}"}}).json()
    waited = http.get(job["urls"]["self"], headers={"Prefer": "wait=2"})
    assert waited.status_code == 200
    assert waited.json()["status"] == "queued"
    assert http.post(job["urls"]["cancel"]).is_success


def test_the_server_knows_that_the_browser_used_tls(stack: Stack, http: httpx.Client) -> None:
    page = BROWSER | {"Origin": str(http.base_url).rstrip("/")}
    signed_in = http.post("/login", data={"token": TOKEN}, headers=page)
    assert signed_in.status_code == 303, signed_in.text
    assert "secure" in signed_in.headers["set-cookie"].lower()
    direct = httpx.post(f"{stack.url}/login", data={"token": TOKEN}, headers=BROWSER)
    assert "secure" not in direct.headers["set-cookie"].lower()


def test_only_a_trusted_proxy_is_believed() -> None:
    claim = BROWSER | {"X-Forwarded-Proto": "https"}
    seen = {}
    for trusted in ("127.0.0.1", "10.0.0.0/8"):
        stack = Stack("sqlite", SETTINGS | {"RAIW_TOKEN": TOKEN, "RAIW_TRUSTED_PROXIES": trusted})
        answer = httpx.post(f"{stack.url}/login", data={"token": TOKEN}, headers=claim)
        assert answer.status_code == 303, answer.text
        seen[trusted] = "secure" in answer.headers["set-cookie"].lower()
        stack.stop()
    assert seen == {"127.0.0.1": True, "10.0.0.0/8": False}
