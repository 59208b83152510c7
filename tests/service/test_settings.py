"""One file and MEDSR_* variables; what nobody knows, and what would lay data open, is refused by name."""

from __future__ import annotations

import pytest

from medsr.errors import UsageError
from medsr.service.settings import ServiceSettings, configure, exported, refuse_exposure, shown_settings


def test_without_any_configuration_it_listens_on_this_machine_alone():
    settings = configure(environment={})
    refuse_exposure(settings)
    assert (settings.host, settings.port, settings.store.name) == ("127.0.0.1", 8080, "medsr-store")
    assert settings.worker_count >= 1


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "medsr.toml"
    file.write_text('port = 1111\nhost = "localhost"\nworkers = 3\nmax_voxels = 1000\n')
    settings = configure(file, environment={"MEDSR_PORT": "2222", "MEDSR_WORKERS": "4"}, port=3333, store=None)
    assert (settings.port, settings.workers, settings.host) == (3333, 4, "localhost")
    assert exported(file, environment={}) == {"MEDSR_MAX_VOXELS": "1000"}
    assert exported(file, environment={"MEDSR_MAX_VOXELS": "7"}) == {}


def test_medsr_config_names_the_file(tmp_path):
    (tmp_path / "medsr.toml").write_text("port = 1234\n")
    assert configure(environment={"MEDSR_CONFIG": str(tmp_path / "medsr.toml")}).port == 1234


@pytest.mark.parametrize(
    ("environment", "text", "named"),
    [
        ({"MEDSR_WORKRES": "2"}, "", "MEDSR_WORKRES"),
        ({}, "worker = 2\n", "worker"),
        ({}, "[server]\nport = 1\n", "server"),
    ],
)
def test_f17_an_unknown_key_is_named(tmp_path, environment, text, named):
    file = tmp_path / "medsr.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        configure(file, environment=environment)
    assert caught.value.code == "serve.unknown_key"
    assert named in caught.value.fact


@pytest.mark.parametrize("value", [{"MEDSR_PORT": "x"}, {"MEDSR_WORKERS": "-1"}, {"MEDSR_MAX_VOXELS": "many"}])
def test_a_value_that_does_not_fit_is_named(value):
    with pytest.raises(UsageError) as caught:
        configure(environment=value)
    assert caught.value.code == "serve.value"
    assert next(iter(value)).removeprefix("MEDSR_").lower() in caught.value.fact


@pytest.mark.parametrize("content", [b"port = \n", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_named(tmp_path, content):
    file = tmp_path / "medsr.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        configure(file, environment={})
    assert caught.value.code == "serve.config"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "medsr.example"])  # noqa: S104 -- that is refused
def test_an_open_address_without_tls_does_not_start(host):
    with pytest.raises(UsageError) as caught:
        refuse_exposure(configure(environment={"MEDSR_HOST": host}))
    assert caught.value.code == "serve.open_bind"


def test_an_open_address_behind_a_proxy_or_with_tls_starts(tmp_path):
    refuse_exposure(configure(environment={"MEDSR_HOST": "192.0.2.7", "MEDSR_BEHIND_TLS_PROXY": "true"}))
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    pair = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    refuse_exposure(configure(environment={"MEDSR_HOST": "::"}, **pair))


def test_half_a_key_pair_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "cert.pem").touch()
    for given in ({"tls_certificate": tmp_path / "cert.pem"}, {"tls_certificate": "a", "tls_key": "b"}):
        with pytest.raises(UsageError) as caught:
            refuse_exposure(configure(environment={}, **given))
        assert caught.value.code == "serve.tls"


def test_a_password_of_an_example_does_not_start():
    with pytest.raises(UsageError) as caught:
        refuse_exposure(configure(environment={"MEDSR_DATABASE_URL": "postgresql+psycopg://medsr:changeme@db/medsr"}))
    assert caught.value.code == "serve.default_secret"
    refuse_exposure(configure(environment={"MEDSR_DATABASE_URL": "postgresql+psycopg://medsr:9f-Hq2x@db/medsr"}))


def test_what_is_printed_is_what_can_be_given(tmp_path):
    given = ServiceSettings(port=9, policy="research", database_url="postgresql+psycopg://u:hidden@h/d")
    text = shown_settings(given)
    assert "hidden" not in text
    file = tmp_path / "printed.toml"
    file.write_text(text)
    again = configure(file, environment={})
    assert again.model_dump(exclude={"database_url"}) == given.model_dump(exclude={"database_url"})
    assert all(f"# {field.description}" in text for field in ServiceSettings.model_fields.values())
