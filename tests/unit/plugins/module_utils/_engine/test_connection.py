# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which engine a task means, and how it is trusted: options, environment, docker contexts, in this order."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import tempfile
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    DEFAULT_ADDRESS,
    ENGINE_ARGUMENTS,
    ClientEnvironment,
    Connection,
    TlsOptions,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import OptionError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._users import acting_as

DEFAULTS = {name: argument.get("default") for name, argument in ENGINE_ARGUMENTS.items()}


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """The docker client's configuration directory, empty."""
    folder = tmp_path / "docker"
    folder.mkdir()
    return folder


@pytest.fixture
def pki(tmp_path: pathlib.Path) -> pathlib.Path:
    return fill(tmp_path / "pki")


def fill(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Put files into a folder, by default all three, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("ca.pem", "cert.pem", "key.pem"):
        (folder / name).write_text("")
    return folder


def meant(home: pathlib.Path, environ: dict[str, str] | None = None, **params: Any) -> Connection:
    """Return the connection that is meant."""
    return resolve({**DEFAULTS, **params}, ClientEnvironment(environ or {}, str(home)))


def add_context(home: pathlib.Path, name: str, host: str, *files: str, skip: bool = False) -> None:
    """Make a docker context as the docker client does."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder = home / "contexts" / "meta" / digest
    folder.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": skip}
    (folder / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}), encoding="utf-8"
    )
    if files:
        fill(home / "contexts" / "tls" / digest / "docker", *files)


def use_context(home: pathlib.Path, name: str) -> None:
    (home / "config.json").write_text(json.dumps({"currentContext": name}))


def test_local_socket_by_default(home: pathlib.Path) -> None:
    assert meant(home) == Connection(DEFAULT_ADDRESS, "/var/run/docker.sock", "", 0, None, None, 60)


@pytest.mark.parametrize(
    ("address", "expected", "host", "port", "tls"),
    [
        ("tcp://docker1:2375", "tcp://docker1:2375", "docker1", 2375, False),
        ("tcp://docker1:2376", "tcp://docker1:2376", "docker1", 2376, True),
        ("docker1:2376", "tcp://docker1:2376", "docker1", 2376, True),
        ("tcp://docker1", "tcp://docker1:2375", "docker1", 2375, False),
        ("tcp://docker1/", "tcp://docker1:2375", "docker1", 2375, False),
        ("tcp://[2001:db8::1]:2376", "tcp://[2001:db8::1]:2376", "2001:db8::1", 2376, True),
    ],
)
def test_addresses(home: pathlib.Path, address: str, expected: str, host: str, port: int, tls: bool) -> None:
    connection = meant(home, docker_host=address)
    assert (connection.address, connection.host, connection.port) == (expected, host, port)
    assert (connection.tls is not None) is tls


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("ssh://docker1", "ssh:// is not supported"),
        ("https://docker1", "https:// is not supported"),
        ("fd://", "fd:// is not supported"),
        ("unix://run/docker.sock", "must begin with a slash"),
        ("tcp://", "it is no host with a port"),
        ("tcp://:2376", "it is no host with a port"),
        ("tcp://docker1:0", "it is no host with a port"),
        ("tcp://docker1:99999", "it is no address"),
        ("tcp://docker1:port", "it is no address"),
        ("tcp://docker1:2376/v1.41", "it is no host with a port"),
        ("tcp://user@docker1:2376", "it is no host with a port"),
        ("tcp://[::1:2376", "it is no address"),
    ],
)
def test_bad_addresses(home: pathlib.Path, address: str, cause: str) -> None:
    with pytest.raises(OptionError, match=f"^docker_host {re.escape(repr(address))}: .*{cause}"):
        meant(home, docker_host=address)
    with pytest.raises(OptionError, match=f"^DOCKER_HOST {re.escape(repr(address))}: .*{cause}"):
        meant(home, {"DOCKER_HOST": address})


def test_precedence_of_addresses(home: pathlib.Path) -> None:
    add_context(home, "current", "tcp://current:2375")
    add_context(home, "named", "tcp://named:2375")
    use_context(home, "current")
    environ = {"DOCKER_HOST": "tcp://variable:2375", "DOCKER_CONTEXT": "named"}

    assert meant(home, environ, docker_host="tcp://option:2375").host == "option"
    assert meant(home, environ).host == "variable"
    assert meant(home, {"DOCKER_CONTEXT": "named"}).host == "named"
    assert meant(home).host == "current"
    assert meant(home, {"DOCKER_CONTEXT": "default"}).socket_path == "/var/run/docker.sock"
    assert meant(home, {"DOCKER_HOST": ""}).host == "current"


def test_context_with_certificates(home: pathlib.Path) -> None:
    add_context(home, "web1", "tcp://web1:4243", "ca.pem", "cert.pem", "key.pem")
    use_context(home, "web1")
    folder = home / "contexts" / "tls" / hashlib.sha256(b"web1").hexdigest() / "docker"
    assert meant(home).tls == TlsOptions(True, f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem", "web1")
    assert meant(home, tls_hostname="other").tls == TlsOptions(
        True, f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem", "other"
    )


def test_context_that_checks_nothing(home: pathlib.Path) -> None:
    add_context(home, "web1", "tcp://web1:2376", skip=True)
    use_context(home, "web1")
    assert meant(home).tls == TlsOptions(False, None, None, None, "web1")


@pytest.mark.parametrize(
    ("files", "skip", "tls"),
    [
        (("cert.pem", "key.pem"), False, True),
        (("ca.pem",), False, True),
        ((), True, True),
        (("cert.pem", "key.pem"), True, True),
        ((), False, False),
    ],
)
def test_context_is_never_plain_by_oversight(home: pathlib.Path, files: tuple[str, ...], skip: bool, tls: bool) -> None:
    add_context(home, "web1", "tcp://web1:4243", *files, skip=skip)
    use_context(home, "web1")
    spoken = meant(home).tls
    assert (spoken is not None) is tls
    if spoken:
        assert (spoken.verify, spoken.client_cert is not None) == (not skip, "cert.pem" in files)
    assert meant(home, tls=False).tls is None


@pytest.mark.parametrize("level", ["", "docker"])
@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_context_whose_certificates_cannot_be_seen_is_refused(home: pathlib.Path, what: str, level: str) -> None:
    """Plain HTTP is for contexts that have none."""
    add_context(home, "web1", "tcp://web1:2375", "ca.pem")
    use_context(home, "web1")
    place = home / "contexts" / "tls" / hashlib.sha256(b"web1").hexdigest() / level
    place.rename(home / "elsewhere")
    if what == "file":
        place.write_text("")
    else:
        place.symlink_to("nowhere")
    with pytest.raises(OptionError, match=r"^docker context 'web1': its certificates cannot be seen \(.*/docker: "):
        meant(home)
    assert meant(home, docker_host="tcp://web1:2375").tls is None


@pytest.mark.parametrize("level", ["", "docker"])
def test_context_whose_certificates_are_another_users_is_refused(level: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        home.chmod(0o755)
        add_context(home, "web1", "tcp://web1:2375", "ca.pem")
        add_context(home, "rootless", "unix:///run/user/1000/docker.sock", "ca.pem")
        use_context(home, "web1")
        for name in (b"web1", b"rootless"):
            (home / "contexts" / "tls" / hashlib.sha256(name).hexdigest() / level).chmod(0)
        with acting_as("nobody" if os.geteuid() == 0 else None):
            with pytest.raises(OptionError, match=r"^docker context 'web1': .*cannot be seen .*Permission denied"):
                meant(home)
            assert meant(home, {"DOCKER_CONTEXT": "rootless"}).socket_path == "/run/user/1000/docker.sock"
        for path in home.rglob("*"):
            path.chmod(0o700)


def test_context_with_a_certificate_that_leads_nowhere_is_not_plain(home: pathlib.Path) -> None:
    add_context(home, "web1", "tcp://web1:2375", "other.pem")
    use_context(home, "web1")
    folder = home / "contexts" / "tls" / hashlib.sha256(b"web1").hexdigest() / "docker"
    (folder / "ca.pem").symlink_to("nowhere")
    tls = meant(home).tls
    assert tls
    assert tls.ca_path == str(folder / "ca.pem")


def test_context_over_the_socket(home: pathlib.Path) -> None:
    add_context(home, "rootless", "unix:///run/user/1000/docker.sock")
    use_context(home, "rootless")
    assert meant(home).socket_path == "/run/user/1000/docker.sock"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"config.json: the docker client's configuration cannot be read \(Expecting"),
        ("[]", r"config.json: the docker client's configuration cannot be read \(it holds no JSON object"),
        ('{"currentContext": 1}', r"config.json: .* cannot be read \(currentContext is not a name\)"),
        ('{"currentContext": "gone"}', "docker context 'gone': it does not exist"),
    ],
)
def test_bad_client_configuration(home: pathlib.Path, content: str, message: str) -> None:
    (home / "config.json").write_text(content)
    with pytest.raises(OptionError, match=message):
        meant(home)
    assert meant(home, docker_host="unix:///x").socket_path == "/x"


def test_configuration_without_context(home: pathlib.Path) -> None:
    (home / "config.json").write_text('{"auths": {}}')
    assert meant(home).address == DEFAULT_ADDRESS


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Endpoints": {"docker": {}}}', '{"Endpoints": []}'])
def test_broken_context(home: pathlib.Path, content: str) -> None:
    add_context(home, "web1", "tcp://web1")
    (home / "contexts" / "meta" / hashlib.sha256(b"web1").hexdigest() / "meta.json").write_text(content)
    with pytest.raises(OptionError, match=r"^docker context 'web1': .*meta.json cannot be used"):
        meant(home, {"DOCKER_CONTEXT": "web1"})


def test_context_of_another_kind(home: pathlib.Path) -> None:
    add_context(home, "far", "ssh://docker1")
    with pytest.raises(OptionError, match="docker context 'far'.*ssh:// is not supported"):
        meant(home, {"DOCKER_CONTEXT": "far"})


@pytest.mark.parametrize(
    ("environ", "params", "expected"),
    [
        ({}, {}, False),
        ({"DOCKER_TLS_VERIFY": "1"}, {}, True),
        ({"DOCKER_TLS_VERIFY": "0"}, {}, True),  # not empty, so it is on, as for the docker client
        ({"DOCKER_TLS_VERIFY": ""}, {}, False),
        ({"DOCKER_TLS": "1"}, {}, True),
        ({"DOCKER_TLS_VERIFY": "1"}, {"tls": False}, False),
        ({}, {"tls": True}, True),
        ({}, {"tls_hostname": "a"}, True),
        ({}, {"ca_path": "/a"}, True),
        ({}, {"client_cert": "/a", "client_key": "/b"}, True),
        ({}, {"ca_path": "/a", "tls": False}, False),
    ],
)
def test_when_tls_is_spoken(
    home: pathlib.Path, environ: dict[str, str], params: dict[str, Any], expected: bool
) -> None:
    connection = meant(home, environ, docker_host="tcp://docker1", **params)
    assert (connection.tls is not None) is expected
    assert connection.port == (2376 if expected else 2375)


def test_directory_of_the_task(home: pathlib.Path, pki: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = fill(tmp_path / "other")
    tls = meant(home, {"DOCKER_CERT_PATH": str(other)}, docker_host="tcp://d:1", cert_path=str(pki)).tls
    assert tls == TlsOptions(True, f"{pki}/ca.pem", f"{pki}/cert.pem", f"{pki}/key.pem", "d")


def test_directory_of_the_environment(home: pathlib.Path, pki: pathlib.Path) -> None:
    fill(home)
    tls = meant(home, {"DOCKER_CERT_PATH": str(pki)}, docker_host="tcp://d:1").tls
    assert tls == TlsOptions(True, f"{pki}/ca.pem", f"{pki}/cert.pem", f"{pki}/key.pem", "d")


def test_directory_of_the_docker_client(home: pathlib.Path) -> None:
    fill(home)
    tls = meant(home, docker_host="docker.example.com:2376").tls
    assert tls == TlsOptions(True, f"{home}/ca.pem", f"{home}/cert.pem", f"{home}/key.pem", "docker.example.com")


def test_single_files_win_over_the_directory(home: pathlib.Path, pki: pathlib.Path) -> None:
    tls = meant(home, docker_host="tcp://d:1", cert_path=str(pki), ca_path="/ca").tls
    assert tls == TlsOptions(True, "/ca", f"{pki}/cert.pem", f"{pki}/key.pem", "d")
    tls = meant(home, docker_host="tcp://d:1", cert_path=str(pki), client_cert="/c", client_key="/k").tls
    assert tls == TlsOptions(True, f"{pki}/ca.pem", "/c", "/k", "d")


def test_directory_without_client(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = fill(tmp_path / "only-ca", "ca.pem")
    assert meant(home, docker_host="tcp://d:1", cert_path=str(folder)).tls == TlsOptions(
        True, f"{folder}/ca.pem", None, None, "d"
    )


def test_directory_without_authority(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = fill(tmp_path / "no-ca", "cert.pem", "key.pem")
    with pytest.raises(OptionError, match=f"^option cert_path: there is no ca.pem in {folder}"):
        meant(home, docker_host="tcp://d:1", cert_path=str(folder))
    with pytest.raises(OptionError, match=f"^option DOCKER_CERT_PATH: there is no ca.pem in {folder}"):
        meant(home, {"DOCKER_CERT_PATH": str(folder)}, docker_host="tcp://d:1")
    tls = meant(home, docker_host="tcp://d:1", cert_path=str(folder), validate_certs=False).tls
    assert tls == TlsOptions(False, None, f"{folder}/cert.pem", f"{folder}/key.pem", "d")


def test_options_that_contradict_each_other(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(OptionError, match="^option client_key: it is missing beside /c"):
        meant(home, docker_host="tcp://d:1", client_cert="/c")
    with pytest.raises(OptionError, match="^option client_cert: it is missing beside /k"):
        meant(home, docker_host="tcp://d:1", client_key="/k")
    with pytest.raises(OptionError, match=f"^option cert_path: {tmp_path}/no is not a directory"):
        meant(home, docker_host="tcp://d:1", cert_path=f"{tmp_path}/no")
    with pytest.raises(OptionError, match="^option timeout: 0 is not a time"):
        meant(home, timeout=0)
    with pytest.raises(OptionError, match="^option api_version: 'v1' is no version"):
        meant(home, api_version="v1")


@pytest.mark.parametrize("name", [".example.com", "a..b", "a" * 64, "\u00fc" * 63, "a\0b"])
def test_name_that_no_certificate_can_carry(home: pathlib.Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"^option tls_hostname: '.*' is not a name that a certificate can carry"):
        meant(home, docker_host="tcp://d:1", tls_hostname=name)


@pytest.mark.parametrize(
    "name", ["docker.example.com", "docker.example.com.", "127.0.0.1", "::1", "b\u00fccher.example"]
)
def test_name_that_a_certificate_can_carry(home: pathlib.Path, name: str) -> None:
    tls = meant(home, docker_host="tcp://d:1", tls_hostname=name).tls
    assert tls
    assert tls.hostname == name


@pytest.mark.parametrize("name", ["ca_path", "client_cert", "client_key", "cert_path"])
def test_a_relative_path_is_refused_unless_it_is_the_environments(
    home: pathlib.Path, pki: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """On a host it would begin in the working directory, as that of the docker client's own variable does."""
    monkeypatch.chdir(pki.parent)
    message = rf"^option {name}: pki is a relative path, .* run the task on the controller"
    given: dict[str, Any] = {name: "pki"}
    with pytest.raises(OptionError, match=message):
        meant(home, docker_host="tcp://d:1", **given)
    tls = meant(home, {"DOCKER_CERT_PATH": "pki"}, docker_host="tcp://d:1").tls
    assert tls == TlsOptions(True, "pki/ca.pem", "pki/cert.pem", "pki/key.pem", "d")


def test_api_version(home: pathlib.Path) -> None:
    assert meant(home).api_version is None
    assert meant(home, api_version="auto").api_version is None
    assert meant(home, {"DOCKER_API_VERSION": "1.41"}).api_version == "1.41"
    assert meant(home, {"DOCKER_API_VERSION": "1.41"}, api_version="1.44").api_version == "1.44"


def test_nothing_around_the_task_counts_when_told_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://variable:2375")
    assert resolve(DEFAULTS, ClientEnvironment.empty()).address == DEFAULT_ADDRESS
    assert resolve(DEFAULTS, ClientEnvironment.of_process()).host == "variable"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert ClientEnvironment.of_process().config_dir == str(tmp_path)
