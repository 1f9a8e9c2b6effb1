# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of remote_api mean for the daemon, and which are refused before a host is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _remote_api, _remote_api_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.options import check_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


def options(**given: Any) -> dict[str, Any]:
    """Return the module's options as Ansible would hand them over."""
    checked = ArgumentSpecValidator(_remote_api_options.ARGUMENT_SPEC, **_remote_api_options.RULES).validate(given)
    assert not checked.error_messages
    found: dict[str, Any] = checked.validated_parameters
    return found


def words(**given: Any) -> list[str]:
    """Return the words on dockerd's command line that the options ask for."""
    request = _remote_api.daemon_request(options(**given))
    return [word for group in check_options(request.options).values() for word in group]


def test_mutual_tls_is_the_default() -> None:
    assert words() == [
        "--host=tcp://0.0.0.0:2376",
        "--tlsverify",
        "--tlscacert=/etc/docker/ca.pem",
        "--tlscert=/etc/docker/server-cert.pem",
        "--tlskey=/etc/docker/server-key.pem",
    ]
    assert _remote_api.daemon_request(options()).remove == ("tls",)


def test_a_certificate_of_somebody_else_has_a_ca_of_its_own() -> None:
    given = {"certificate": "/srv/tls.crt", "key": "/srv/tls.key", "ca": "PEM"}
    assert _remote_api.daemon_request(options(server_certificate=given)).server_ca == "PEM"
    assert _remote_api.daemon_request(options()).server_ca is None


def test_without_tls_it_says_so_and_stays_on_loopback() -> None:
    assert words(tls=False) == ["--host=tcp://127.0.0.1:2375", "--tls=false"]
    assert _remote_api.daemon_request(options(tls=False)).remove == ("tlsverify", "tlscacert", "tlscert", "tlskey")


def test_text_stands_for_a_list_and_a_mapping() -> None:
    given = {"listen": "tcp://10.0.0.5:2376,tcp://127.0.0.1:2377", "daemon_options": '{"dns": ["8.8.8.8"]}'}
    assert words(**given)[:2] == ["--host=tcp://10.0.0.5:2376", "--host=tcp://127.0.0.1:2377"]
    assert words(**given)[-1] == "--dns=8.8.8.8"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"listen": []}, "listen: it is empty"),
        ({"listen": ["0.0.0.0:2376"]}, "listen, 0.0.0.0:2376: it is not an address to listen on"),
        ({"listen": ["unix:///x"]}, "listen, unix:///x: it is not an address to listen on"),
        ({"listen": ["tcp://0.0.0.0"]}, "tcp://0.0.0.0: it is not ADDRESS:PORT"),
        ({"listen": ["tcp://0.0.0.0:0"]}, "tcp://0.0.0.0:0: its port is not between 1 and 65535"),
        ({"tls": False, "listen": ["tcp://127.0.0.1:1", "tcp://[::]:2"]}, r"tcp://\[::\]:2: this is not a loopback"),
        ({"tls": False, "listen": ["tcp://docker.example.com:1"]}, "this is not a loopback address"),
        ({"daemon_options": {"tlsverify": False, "host": "x"}}, "host, tlsverify: the module has options"),
    ],
)
def test_what_cannot_be_or_is_not_safe_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(RemoteApiError, match=says):
        _remote_api_options.check_options(options(**given))


THEIRS = {"certificate": "/srv/tls.crt", "key": "/srv/tls.key", "ca": "company-ca.pem"}


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"directory": "etc/docker-tls"}, "directory, etc/docker-tls"),
        ({"options_file": "./default/docker"}, r"options_file, \./default/docker"),
        ({"server_certificate": {**THEIRS, "certificate": "tls.crt"}}, r"server_certificate, certificate, tls\.crt"),
        ({"server_certificate": {**THEIRS, "key": "tls.key"}}, r"server_certificate, key, tls\.key"),
    ],
)
def test_a_relative_path_on_the_host_is_refused(given: dict[str, Any], option: str) -> None:
    """The module and dockerd would each look for it in another directory."""
    with pytest.raises(RemoteApiError, match=f"^{option}: this path on the host is relative"):
        _remote_api_options.check_options(options(**given))


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"directory": "$ON_NO_HOST/tls"}, r"options, tlscacert, \$ON_NO_HOST/tls/ca\.pem"),
        ({"options_file": "~nobody-here/docker"}, "path, ~nobody-here/docker"),
        ({"daemon_options": {"config-file": "daemon.json"}}, r"options, config-file, daemon\.json"),
    ],
)
def test_what_the_host_alone_can_expand_is_judged_there(given: dict[str, Any], option: str) -> None:
    _remote_api_options.check_options(options(**given))
    with pytest.raises(RemoteApiError, match=f"^{option}: this path on the host is relative"):
        _remote_api.daemon_request(options(**given))


def test_paths_on_the_controller_and_expanded_ones_may_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLS", "/srv/tls")
    given = {"server_certificate": THEIRS, "ca_path": "pki", "clients": [{"name": "a", "directory": "a"}]}
    found = options(directory="$TLS", options_file="~/docker", **given)
    assert _remote_api_options.check_options(found)
    assert _remote_api.daemon_request(found).options["tlscacert"] == "/srv/tls/ca.pem"


def test_plain_tcp_beyond_loopback_has_to_be_asked_for() -> None:
    listen = ["tcp://10.0.0.5:2375"]
    assert _remote_api_options.check_options(options(tls=False, allow_insecure=True, listen=listen)) == tuple(listen)
    loopback = ["tcp://[::1]:2375", "tcp://localhost:1", "tcp://[::ffff:127.0.0.1]:2"]
    assert _remote_api_options.check_options(options(tls=False, listen=loopback))


def test_addresses_that_clients_call_are_known() -> None:
    listen = [
        "tcp://0.0.0.0:1",
        "tcp://[::]:2",
        "tcp://[::ffff:0.0.0.0]:2",
        "tcp://10.0.0.5:3",
        "tcp://[fe80::1%eth0]:4",
        "tcp://docker.example.com:5",
    ]
    assert _remote_api_options.listen_hosts(listen) == ["10.0.0.5", "docker.example.com"]
