"""The settings of a deployment: environment variables ``RAIW_*``, read once, passed on, frozen."""

import hashlib
import ipaddress
import os
import tempfile
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from raiw.errors import InvalidInput
from raiw.names import nearest
from raiw.nets.modules import MODULE
from raiw.nets.networks import FAMILIES

PREFIX = "RAIW_"
CLIENT_VARIABLES = frozenset({"URL", "OFFLINE", "CACHE"})
"""Variables of the command and the client, which are not settings of a server."""

STUDIES = "optuna"
"""Schema, or name of the file, of the trials of searches."""
BUCKETS = ("s3", "gs", "az")
"""Kinds of object stores, as the beginning of a URL."""
_CREDENTIALS = ("AWS_", "GOOGLE_", "AZURE_")
"""How variables begin that hold the passwords of object stores."""

_SECRETS = frozenset({"TOKEN", "KEY_SECRET", "RATE_URL", "DATABASE_URL", "BROKER_URL"})
"""Settings that hold a password."""


def _check_rate(text: str) -> str:
    import limits

    try:
        return text and str(limits.parse(text)) and text
    except ValueError:
        raise ValueError(f"{text!r} is not a rate such as 1000 per 10 seconds") from None


Seconds = Annotated[float, Field(gt=0, le=30 * 86400)]
Bytes = Annotated[int, Field(gt=0)]
Keep = Annotated[float, Field(gt=0)]
RequestRate = Annotated[str, AfterValidator(_check_rate), Field(max_length=100)]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]

_LONGEST_SOCKET_PATH = 100
"""Kernels take 107 bytes (macOS 103) as the address of a Unix socket."""


class InvalidSettings(InvalidInput):
    """A ``RAIW_*`` variable is unknown or wrong."""

    code = "invalid-settings"
    title = "The settings are invalid"


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "raiw"


@lru_cache
def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine.

    >>> is_loopback("localhost"), is_loopback("127.0.0.9"), is_loopback("localhost.example")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _none_if_empty(value: Any) -> Any:
    return value or None


def _listed(text: str) -> list[str]:
    return [part for part in text.replace(" ", "").split(",") if part]


def _check_modules(text: str) -> str:
    for module in _listed(text):
        if not MODULE.fullmatch(module):
            raise ValueError(f"{module!r} is not package.module or package.module:name")
    return text


def _check_networks(text: str) -> str:
    for network in _listed(text):
        ipaddress.ip_network(network)  # whose message names what is wrong
    return text


def _check_objects(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if url and not (separator and scheme in BUCKETS and rest.strip("/")):
        raise ValueError(
            f"{url!r} is no bucket: write {', '.join(BUCKETS)} followed by ://bucket/prefix; for a "
            f"folder set RAIW_ARTIFACT_DIR"
        )
    return url.rstrip("/")


class Settings(BaseSettings):
    """Everything an operator can set; each field is the variable ``RAIW_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    state_dir: Folder = Field(default_factory=_default_state_dir)
    """Folder of everything the embedded mode keeps."""
    database_url: str = ""
    """SQLAlchemy URL; empty means SQLite in the state folder."""
    database_connect_seconds: Seconds = 10
    """A database that gives no connection, or no sign of life on one, for this long counts as
    down."""
    database_lock_seconds: Seconds = 10
    """How long a statement waits for another's lock."""
    database_statement_seconds: Seconds = 60
    """Longest statement and longest idle transaction on PostgreSQL."""
    broker_url: str = ""
    """Redis or Valkey URL; empty means the Valkey that ``raiw serve`` starts by itself."""
    artifact_dir: Folder | None = None
    """Folder of uploads, large masks, results and runs; every API and worker host must see the same
    one, unless ``objects`` names a bucket: then it is this host's cache and workspace."""
    objects: Annotated[str, AfterValidator(_check_objects), Field(max_length=1000)] = ""
    """Bucket instead of the folder: ``s3://bucket/prefix``, ``gs://…`` or ``az://…``. Credentials
    are read from the variables that these services define."""
    objects_cache_bytes: Bytes = 16 << 30
    """What a worker's host keeps of a bucket's objects, the last used ones."""
    objects_redirect_seconds: Annotated[int, Field(ge=0, le=7 * 86400)] = 0
    """How long a mask file may be fetched from the bucket, where clients are sent; 0: never."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    token: SecretStr | None = None
    """A token that allows everything, as owner ``local``; at least 16 characters."""
    key_secret: Annotated[SecretStr | None, BeforeValidator(_none_if_empty)] = None
    """What keys are sealed with and the secrets of webhooks derived from, at least 32 characters,
    the same for all servers of a deployment and for ``raiw keys``; beside SQLite in the state
    folder, a file there does as well."""
    key_cache_seconds: Annotated[float, Field(gt=0, le=300)] = 5
    """How long a key that was revoked elsewhere may still be taken by this process."""
    require_keys: bool = False
    """Ask for keys on loopback addresses too, as behind a proxy. Elsewhere they always are."""
    allow_public: bool = False
    """Serve on a public address without keys. Only behind a proxy that authenticates."""

    sharing: Literal["off", "digest"] = "off"
    """Whether owners get results that others have computed: ``off`` computes everything anew for
    each owner, and tells nobody what others have; ``digest`` gives whoever asks for the same the
    stored result at once, which tells that somebody has asked for it before."""

    allowed_hosts: Annotated[str, Field(max_length=4000)] = ""
    """Names the API answers to besides loopback ones, separated by commas; ``*.example.com`` means
    all below. Empty: any with a token or ``allow_public``, else loopback names only. Pages of these
    hosts may write from a browser."""
    trusted_proxies: Annotated[str, AfterValidator(_check_networks), Field(max_length=4000)] = (
        "127.0.0.1, ::1"
    )
    """Addresses and networks of the proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are
    believed, separated by commas."""
    max_connections: Annotated[int, Field(ge=1, le=1 << 16)] = 1024
    max_client_connections: Annotated[int, Field(ge=1, le=1 << 16)] = 256
    """Connections from one address; behind a proxy that is every client, so raise it to the
    total."""
    header_seconds: Seconds = 10
    """Time for a client to send the header of a request."""
    min_body_rate: Bytes = 1024
    """Slowest body, in bytes per second on average; a pause may last 30 seconds."""

    rate_reads: RequestRate = "30000 per 10 seconds"
    """Most reading requests that a key may send, or an owner without one; empty sets no limit."""
    rate_writes: RequestRate = "5000 per 10 seconds"
    """The same for requests that change something."""
    rate_url: str = ""
    """Redis or Valkey URL where all API servers count requests together; empty: each for itself."""
    quota_jobs: Annotated[int, Field(ge=0)] = 0
    """Most queued and running jobs of an owner; 0 sets no limit, here and for the other quotas."""
    quota_bytes: Annotated[int, Field(ge=0)] = 0
    """Most bytes of an owner's files and uploads."""
    quota_cells: Annotated[int, Field(ge=0)] = 0
    """Most possible edges of a job's layers."""
    quota_daily_cells: Annotated[int, Field(ge=0)] = 0
    """Most possible edges of the layers of an owner's jobs of any 24 hours."""

    max_json_bytes: Bytes = 4 << 20
    max_upload_bytes: Bytes = 64 << 30
    min_free_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    """Uploads and jobs are refused (507) when the artifact folder's disk would fall below this."""
    masks_in_database_bytes: Annotated[int, Field(ge=0)] = 32 << 20
    """Mask files above this size are kept in the artifact folder instead of the database."""

    lease_seconds: Seconds = 20
    """A worker that is silent for this long has lost its job."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    job_timeout_seconds: Seconds = 6 * 3600
    """Run time of a job that names none."""
    unit_cells: Annotated[int, Field(ge=1)] = 1 << 27
    """Possible edges of the layers in one unit; a job with more is shared among all free workers.
    All workers must agree on it."""
    janitor_seconds: Seconds = 1.0
    """Longest pause between two rounds of the janitor."""
    republish_seconds: Seconds = 5
    """How long a job may be neither claimed nor held by the broker before it is published again."""
    keep_jobs_seconds: Keep = 30 * 86400
    """Ended jobs are removed after this time; their results stay."""
    keep_runs_seconds: Keep = 30 * 86400
    """Checkpoints of tasks that did not succeed are removed after this time."""
    keep_uploads_seconds: Keep = 86400
    """Abandoned uploads are removed after this time."""
    keep_units_seconds: Keep = 86400
    """Units of large jobs, kept for the next attempt, are removed after this time without use."""
    keep_masks_seconds: Annotated[float, Field(ge=0)] = 0
    """Masks that nobody has asked for or read for this long are removed, unless they are pinned;
    0 keeps them for good."""
    keep_blobs_seconds: Annotated[float, Field(ge=0)] = 0
    """The same for uploaded files and for files that jobs made."""

    webhook_networks: Annotated[str, AfterValidator(_check_networks), Field(max_length=4000)] = ""
    """Networks that webhooks may lead to besides public addresses, separated by commas:
    ``10.20.0.0/16``. With ``127.0.0.0/8`` among them, ``http`` to this machine is allowed too."""
    webhook_timeout_seconds: Seconds = 15
    """Time for a webhook's receiver to answer."""
    webhook_retry_seconds: Seconds = 3 * 86400
    """How long a delivery is tried, and how long a webhook may fail before it is disabled."""

    data_dir: Folder | None = None
    """Folder of the data sets of a worker that trains; by default ``data`` in the state folder."""
    network_modules: Annotated[str, AfterValidator(_check_modules), Field(max_length=4000)] = (
        ", ".join(FAMILIES)
    )
    """Modules whose networks a worker may build, separated by commas: timm and transformers, where
    they are installed; ``package.module`` for all that it defines, ``package.module:name`` for one.
    No other module is imported because a job names it."""
    craft_memory_bytes: Annotated[int, Field(ge=0)] = 64 << 30
    """Most memory that crafting may take: a job whose estimate is higher is refused, a process
    that takes more ends; 0 sets no limit."""
    task_memory_bytes: Annotated[int, Field(ge=0)] = 0
    """Most memory that a process which scores, prunes or trains may take; 0 sets no limit."""
    task_threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of a job's process, which crafts so many layers at a time; if unset, the worker's
    cores are shared among its jobs."""
    task_processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that train one network together, one per GPU."""
    worker_concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(
        default_factory=lambda: os.cpu_count() or 1
    )
    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s@]+)?$")] = ""
    """OpenTelemetry collector that gets traces over HTTP, such as ``http://collector:4318``; needs
    ``raiw[otel]``. Empty: no traces."""
    log_format: Literal["text", "json"] = "text"
    """``json`` writes each event of the log as one object on one line."""
    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"

    @model_validator(mode="after")
    def _secrets_are_long(self) -> Self:
        for name, secret, least in (("TOKEN", self.token, 16), ("KEY_SECRET", self.key_secret, 32)):
            if secret is not None and len(secret.get_secret_value()) < least:
                raise ValueError(f"{PREFIX}{name} is shorter than {least} characters")
        return self

    @property
    def keyless(self) -> bool:
        """Whether requests without a key are served, on behalf of the owner ``local``."""
        if self.token is not None or self.require_keys:
            return False
        return self.allow_public or is_loopback(self.host)

    @property
    def shares(self) -> bool:
        """Whether owners get what others have computed."""
        return self.sharing == "digest"

    @property
    def threads(self) -> int:
        """Threads of each process of a job."""
        processes = self.worker_concurrency * self.task_processes
        return self.task_threads or max(1, (os.cpu_count() or 1) // processes)

    def allows_host(self, host: str) -> bool:
        """Whether a host name, in lower case, is one of ``allowed_hosts``."""
        return any(
            host == name or (name.startswith("*.") and host.endswith(name[1:]))
            for name in _listed(self.allowed_hosts.lower())
        )

    @property
    def proxies(self) -> list[str]:
        """The entries of ``trusted_proxies``."""
        return _listed(self.trusted_proxies)

    @property
    def modules(self) -> list[str]:
        """The entries of ``network_modules``."""
        return _listed(self.network_modules)

    @cached_property
    def receivers(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The entries of ``webhook_networks``."""
        return [ipaddress.ip_network(network) for network in _listed(self.webhook_networks)]

    @property
    def database(self) -> str:
        """The database URL in force."""
        if not self.database_url:
            return f"sqlite:///{self.state_dir / 'raiw.sqlite'}"
        plain, psycopg = "postgresql://", "postgresql+psycopg://"
        return self.database_url.replace(plain, psycopg, 1).replace("postgres://", psycopg, 1)

    @property
    def studies(self) -> tuple[str, str | None]:
        """URL and schema where the trials of searches are kept as Optuna keeps them.

        Its tables include one that Alembic would take for ours: PostgreSQL has a schema for them,
        SQLite a file of their own beside the database.
        """
        scheme, _, file = self.database.partition(":///")
        if scheme != "sqlite":
            return self.database, STUDIES
        return f"sqlite:///{Path(file.partition('?')[0]).with_name(f'{STUDIES}.sqlite')}", None

    @property
    def broker(self) -> str:
        """The broker URL in force."""
        return self.broker_url or f"redis+socket://{quote(str(self.valkey_socket))}"

    @property
    def valkey_socket(self) -> Path:
        """Socket of the embedded Valkey: in the state folder where its path is short enough."""
        path = self.state_dir / "valkey.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"raiw-{name}" / "valkey.sock"

    @property
    def artifacts(self) -> Path:
        """The artifact folder in force; with a bucket, what this host keeps of it."""
        return self.artifact_dir or self.state_dir / "artifacts"

    @property
    def data(self) -> Path:
        """The folder of data sets in force."""
        return self.data_dir or self.state_dir / "data"


def harmless_environment() -> dict[str, str]:
    """Return the environment without the secrets of the service and of what it uses.

    A process gets only the secrets it needs.
    """
    secret = {PREFIX + name for name in _SECRETS} | object_credentials().keys()
    return {name: value for name, value in os.environ.items() if name not in secret}


def object_credentials() -> dict[str, str]:
    """Return the variables of the object store; if there is none, they are somebody else's."""
    if not os.environ.get(f"{PREFIX}OBJECTS"):
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith(_CREDENTIALS)}


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; ``overrides`` (from command-line options) win, None means not given.

    Raises
    ------
    InvalidSettings
        A variable is unknown or its value is refused.
    """
    known = {name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX) not in known:
            names = [PREFIX + name for name in sorted(known)]
            raise InvalidSettings(f"unknown variable {variable}{nearest(variable, names)}")
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in fault["loc"]).upper()
        raise InvalidSettings(f"{PREFIX}{name}: {fault['msg']}" if name else fault["msg"]) from None
