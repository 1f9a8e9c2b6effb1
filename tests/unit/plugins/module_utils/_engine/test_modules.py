# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as whole programs: what they return when an engine fails them, and what is sent in check mode."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from ansible.module_utils.common.parameters import PASS_VARS

# Each module of one request, or a few, with the least that it has to be told.
MODULES: dict[str, dict[str, Any]] = {
    "container": {"name": "web", "state": "absent"},
    "container_info": {},
    "engine_api": {"path": "/info"},
    "engine_info": {},
    "image_info": {},
    "image_search": {"term": "busybox"},
}
TIMEOUT = 1


def sending(content: bytes) -> Any:
    """Return a handler that sends this and closes the connection."""
    return lambda sock: sock.sendall(content)


def silent(sock: socket.socket) -> None:
    """Say nothing for longer than the time limit."""
    sock.settimeout(TIMEOUT + 3)
    sock.recv(1)


JSON = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
BAD: dict[str, tuple[Any, str]] = {
    "broken JSON": (sending(JSON % (b"200 OK", 12) + b'{"Name": "a"'), "the answer is broken JSON"),
    "closed half-way": (sending(JSON % (b"200 OK", 1000) + b"{"), "the connection was closed while reading the answer"),
    "500 with HTML": (
        sending(b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<h1>Broken</h1>"),
        "Broken. ",
    ),
    "no answer": (silent, f"timed out after {TIMEOUT} seconds while waiting for the answer to GET /"),
}


def result_of(module: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
    """Run a module as Ansible does, in surroundings that say nothing of an engine, and return its result."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.dockerfleet.remote_api.plugins.modules.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**params, "_ansible_check_mode": check}}),
        env={**environ, "DOCKER_CONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if result.get("failed") else 0)
    return result


@pytest.mark.parametrize(("then", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("module", MODULES)
def test_bad_engine(serve: Any, talking: Any, module: str, then: Any, message: str) -> None:
    server = serve(talking(then), unix=True)
    limit = TIMEOUT if then is silent else 20
    result = result_of(module, docker_host=server.address, timeout=limit, **MODULES[module])
    assert result["failed"]
    assert message in result["msg"]
    assert server.address in result["msg"]
    assert "\n" not in result["msg"]
    assert result["can_talk_to_engine"]  # it has answered /_ping


@pytest.mark.parametrize("module", MODULES)
def test_no_engine(module: str, tmp_path: Any) -> None:
    result = result_of(module, docker_host=f"unix://{tmp_path}/none", **MODULES[module])
    assert result["msg"].startswith(f"unix://{tmp_path}/none: there is no such file, so no engine listens here")
    assert result["can_talk_to_engine"] is False
    assert "status" not in result


def test_answer_of_the_engine_is_returned(serve: Any, fake_engine: Any) -> None:
    played = fake_engine({"GET /containers/json": ("400 Bad Request", {"message": "invalid filter 'colour'"})})
    result = result_of("container_info", docker_host=serve(played).address, filters={"colour": "red"})
    assert result["failed"]
    assert (result["status"], result["endpoint"]) == (400, "GET /containers/json")
    assert result["engine_message"] == "invalid filter 'colour'"
    assert result["can_talk_to_engine"]


@pytest.mark.parametrize(
    ("method", "sent"), [("GET", True), ("HEAD", True), ("POST", False), ("PUT", False), ("DELETE", False)]
)
def test_check_mode_of_engine_api(serve: Any, fake_engine: Any, method: str, sent: bool) -> None:
    played = fake_engine({f"{method} /x": {}})
    params = {"docker_host": serve(played).address, "method": method, "path": "/v1.41/x", "status_code": [200, 409]}
    assert result_of("engine_api", **params)["changed"] is not sent
    assert [line for line, _body in played.requests] == [f"{method} /v1.41/x"]
    played.requests.clear()
    result = result_of("engine_api", check=True, **params)
    assert result["changed"] is not sent
    assert [line for line, _body in played.requests] == ([f"{method} /v1.41/x"] if sent else [])
    assert result["status"] == 200  # what the documented changed_when looks at
    assert ("headers" in result) is sent


# A module whose system log goes to its standard error.
LOGGED = """
import runpy, sys, syslog
from ansible.module_utils import basic
basic.has_journal = False
syslog.syslog = lambda *words: print(*words, file=sys.stderr)
runpy.run_module(sys.argv.pop(), run_name="__main__")
"""


def test_secrets_of_engine_api_are_neither_logged_nor_returned(serve: Any, fake_engine: Any) -> None:
    """And what the engine answers is not hidden, though the request has the same words in it."""
    answer = {"Name": "backend", "Internal": True, "Labels": {"team": "web"}}
    played = fake_engine({"POST /x": answer})
    params = {
        "docker_host": serve(played).address, "method": "POST", "path": "/v1.41/x",
        "headers": {"X-Registry-Auth": "s3cret-one", "authorization": "s3cret-two", "X-Plain": "web"},
        "body": {"Name": "backend", "Internal": True, "password": "s3cret-3", "nested": [{"JoinToken": "s3cret-4"}]},
    }  # fmt: skip
    if "inject_invocation" in PASS_VARS:  # older versions of ansible-core always return it
        params["_ansible_inject_invocation"] = True
    name = "ansible_collections.dockerfleet.remote_api.plugins.modules.engine_api"
    done = subprocess.run(
        [sys.executable, "-c", LOGGED, name],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": params}),
        env={name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Invoked with" in done.stderr, "the log is not where the test looks for it"
    assert "s3cret" not in done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["json"] == answer
    sent = result["invocation"]["module_args"]
    assert (sent["path"], sent["headers"]["X-Plain"]) == ("/v1.41/x", "web")
    ((_line, body),) = played.requests
    assert json.loads(body) == params["body"]
