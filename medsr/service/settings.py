"""Settings of `medsr serve`: one TOML file, and MEDSR_* variables, which win. An unknown key is named and refused."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from medsr.errors import UsageError
from medsr.settings import Settings

__all__ = ["ServiceSettings", "configure", "default_secrets", "exported", "refuse_exposure", "shown_settings"]

_PREFIX = "MEDSR_"
_FOREIGN = frozenset({"MEDSR_CONFIG", "MEDSR_DATA", "MEDSR_FAIL", "MEDSR_URL", "MEDSR_KEY"})
"""Variables of other rooms and of the tests."""
_DEFAULT_SECRETS = ("postgres", "password", "medsr", "secret", "changeme", "change-me", "admin")
_DAY = 1.0


class ServiceSettings(BaseSettings):
    """Configuration of a service, the same in each of its processes."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    store: Path = Field(Path("medsr-store"), description="Folder of the job store and its files.")
    database_url: str = Field("", description="PostgreSQL as postgresql+psycopg://...; empty is SQLite in the store.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    tls_certificate: Path | None = Field(None, description="Certificate chain in PEM form.")
    tls_key: Path | None = Field(None, description="Private key of the certificate in PEM form.")
    behind_tls_proxy: bool = Field(False, description="Speak plain HTTP on an open address: a proxy in front has TLS.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log entry.")

    workers: int = Field(0, ge=0, le=256, description="Worker processes, one thread each; 0 is one a core.")
    policy: str = Field("clinical", description="Gate policy of jobs that name none.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the networks run.")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="Number format of the networks.")
    worker_memory_bytes: int = Field(0, ge=0, description="Address space a job may add; 0 is half of memory.")
    lease_s: float = Field(20.0, gt=0, description="A job is taken from a worker that is silent for so long.")
    heartbeat_s: float = Field(5.0, gt=0, description="Seconds between two heartbeats of a worker.")
    attempts: int = Field(3, ge=1, description="A job that was lost so often has failed.")
    wall_factor: float = Field(10.0, ge=1, description="A job may take so many times its estimate.")
    wall_least_s: float = Field(120.0, gt=0, description="No job is given less wall clock than this.")
    drain_s: float = Field(30.0, gt=0, description="Seconds that running jobs are given when the service stops.")
    poll_s: float = Field(0.5, gt=0, description="Seconds between two looks of an idle worker for a job.")

    most_queued: int = Field(10_000, ge=1, description="Jobs that may wait; more are refused.")
    most_queued_by_owner: int = Field(1_000, ge=1, description="Jobs of one key that may wait.")
    store_busy_s: float = Field(10.0, gt=0, description="Wait for another writer before the store is busy.")
    min_free_bytes: int = Field(10 << 30, ge=0, description="Intake stops below so many free bytes.")
    min_free_fraction: float = Field(0.05, ge=0, le=1, description="Intake stops below this share of the disk.")
    ballast_bytes: int = Field(64 << 20, ge=0, description="File that is given up to delete on a full disk.")
    wal_bytes: int = Field(64 << 20, ge=0, description="Write-ahead log above which it is cut back.")
    released_days: float = Field(30 * _DAY, gt=0, description="Age at which released results are purged.")
    review_days: float = Field(90 * _DAY, gt=0, description="Age at which results that wait for a reader are purged.")
    refused_days: float = Field(30 * _DAY, gt=0, description="Age at which rejected and blocked jobs are purged.")
    failed_days: float = Field(14 * _DAY, gt=0, description="Age at which failed jobs are purged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- pydantic-settings calls it by these names
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: :func:`configure` reads file and environment, so that it can name what nobody knows."""
        return (init_settings,)

    @property
    def worker_count(self) -> int:
        """Workers to start: as stated, else one a core of this machine."""
        return self.workers or len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a key was found, for the error that names it."""

    name: str
    origin: str


def configure(
    file: Path | None = None, *, environment: Mapping[str, str] | None = None, **given: object
) -> ServiceSettings:
    """The settings from the file, the environment and the command line, each winning over the one before.

    Limits of :class:`medsr.settings.Settings` may stand in the same file; :func:`exported` hands them on.

    Raises
    ------
    UsageError : ``serve.config``, ``serve.unknown_key``, ``serve.value``.
    """
    variables = os.environ if environment is None else environment
    stated = _stated(file, variables)
    chosen = {**stated, **{name: value for name, value in given.items() if value is not None}}
    known = set(ServiceSettings.model_fields)
    try:
        Settings.model_validate({key: value for key, value in chosen.items() if key not in known})
        return ServiceSettings.model_validate({key: value for key, value in chosen.items() if key in known})
    except ValidationError as error:
        fault = error.errors()[0]
        key = str(fault["loc"][0]) if fault["loc"] else "settings"
        raise UsageError("serve.value", f"{key}: {fault['msg']}") from error


def exported(file: Path | None, *, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """MEDSR_ variables of the limits that the file states and the environment does not: other rooms read those."""
    variables = os.environ if environment is None else environment
    limits = {key: value for key, value in _file(file).items() if key in Settings.model_fields}
    named = {f"{_PREFIX}{key.upper()}": str(value) for key, value in limits.items()}
    return {name: value for name, value in named.items() if name not in variables}


def refuse_exposure(settings: ServiceSettings) -> None:
    """Refuse to start where what stands in the settings would lay patients' data open.

    Raises
    ------
    UsageError : ``serve.open_bind`` for an open address without TLS, ``serve.tls`` for half a key pair,
        ``serve.default_secret`` for a password that everybody knows.
    """
    pair = (settings.tls_certificate, settings.tls_key)
    for name, path in zip(("tls_certificate", "tls_key"), pair, strict=True):
        if (pair[0] is None) != (pair[1] is None) and path is None:
            raise UsageError("serve.tls", f"{name} is missing beside its counterpart")
        if path is not None and not path.is_file():
            raise UsageError("serve.tls", f"{name} names no file")
    if pair[0] is None and not settings.behind_tls_proxy and not _loopback(settings.host):
        raise UsageError(
            "serve.open_bind", f"host {settings.host[:60]} is open to others, and tls_certificate is unset"
        )
    for key in default_secrets(settings):
        raise UsageError("serve.default_secret", f"{key} holds a password that everybody knows")


def default_secrets(settings: ServiceSettings) -> tuple[str, ...]:
    """Names of settings that hold a secret of an example."""
    _, _, rest = settings.database_url.partition("://")
    credentials, at, _ = rest.rpartition("@")
    password = credentials.partition(":")[2]
    return ("database_url",) if at and password.lower() in _DEFAULT_SECRETS else ()


def shown_settings(settings: ServiceSettings) -> str:
    """Every key with its value as TOML that :func:`configure` takes, secrets masked."""
    lines = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name == "database_url" and value:
            value = _masked(value)
        lines += [f"# {field.description}", f"{'# ' if value is None else ''}{name} = {_toml(value)}", ""]
    return "\n".join(lines)


def _stated(file: Path | None, variables: Mapping[str, str]) -> dict[str, object]:
    """Every key of file and environment, lower case; refuses what nobody knows."""
    known = set(ServiceSettings.model_fields) | set(Settings.model_fields)
    path = Path(variables["MEDSR_CONFIG"]) if file is None and variables.get("MEDSR_CONFIG") else file
    stated = _file(path)
    places = [_Place(key, key) for key in stated]
    for name, value in variables.items():
        if name.startswith(_PREFIX) and name not in _FOREIGN:
            stated[name.removeprefix(_PREFIX).lower()] = value
            places.append(_Place(name.removeprefix(_PREFIX).lower(), name))
    for place in places:
        if place.name not in known:
            raise UsageError("serve.unknown_key", f"there is no setting {place.origin[:60]}")
    return stated


def _file(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("serve.config", f"{path.name} cannot be read as TOML") from error


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _masked(url: str) -> str:
    scheme, found, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}{found}{user}:***@{place}" if at else url


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return '""' if value is None else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
