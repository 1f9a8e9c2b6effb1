# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker contexts: what is written, what stays, and what is refused before anything is written."""

from __future__ import annotations

import json
import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import sys
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.connection import (
    ENGINE_ARGUMENTS,
    ClientEnvironment,
    resolve,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.context_store import (
    ContextStore,
    client_directory,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.docker_context import (
    ContextPlan,
    ContextRequest,
    carry_out,
    plan_context,
    plan_removal,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._users import acting_as
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.killing import killed

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._engine.conftest import Authority

MODULE = "ansible_collections.dockerfleet.remote_api.plugins.modules.docker_context"
HOST = "tcp://docker1.example.com:2376"


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "home" / ".docker"


@pytest.fixture
def store(home: pathlib.Path) -> ContextStore:
    return ContextStore(str(home))


Run = Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(home: pathlib.Path) -> Run:
    """Return a function that runs the module as Ansible does, for the context "web", and returns its result."""

    def call(*, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        options = {"name": "web", "_ansible_check_mode": check, "_ansible_diff": True, **params}
        done = subprocess.run(
            [sys.executable, "-m", MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
            env={**os.environ, "DOCKER_CONFIG": str(home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "PRIVATE KEY-----" not in done.stdout
        result: dict[str, t.Any] = json.loads(done.stdout)
        return result

    return call


def tree(folder: pathlib.Path) -> dict[str, tuple[int, bytes | None]]:
    """Return mode and content of all that is below a folder."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.stat().st_mode),
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


def write(path: str, content: t.Any) -> None:
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(content if isinstance(content, str) else json.dumps(content))


def test_context_is_written_once(run: Run, home: pathlib.Path, store: ContextStore, authority: Authority) -> None:
    folder = authority.issue("admin", server=False)
    options = {"docker_host": "docker1.example.com", "cert_path": str(folder), "current": True}
    planned = run(check=True, **options)
    assert planned["changed"]
    assert not home.parent.exists()

    made = run(**options)
    assert made == planned
    assert made["context"] == {
        "name": "web",
        "docker_host": HOST,
        "current": True,
        "meta_path": store.meta_path("web"),
        "tls_path": store.pem_directory("web"),
    }
    files = tree(home)
    assert {mode for mode, content in files.values() if content is None} == {0o700}
    assert {mode for mode, content in files.values() if content is not None} == {0o600}
    for name in ("ca.pem", "cert.pem", "key.pem"):
        assert pathlib.Path(store.pem_directory("web"), name).read_bytes() == (folder / name).read_bytes()

    again = run(**options)
    assert (again["changed"], again["diff"]) == (False, [])
    assert tree(home) == files


def test_modules_use_the_context(run: Run, home: pathlib.Path, authority: Authority) -> None:
    run(docker_host=HOST, cert_path=str(authority.issue("admin", server=False)), current=True)
    params = {name: option.get("default") for name, option in ENGINE_ARGUMENTS.items()}
    connection = resolve(params, ClientEnvironment({}, str(home)))
    assert connection.address == HOST
    assert connection.tls
    assert connection.tls.client_key


def test_what_others_keep_stays(run: Run, store: ContextStore, home: pathlib.Path, authority: Authority) -> None:
    meta = {
        "Name": "web",
        "Metadata": {"Description": "the shop", "Fleet": ["a"]},
        "Endpoints": {
            "kubernetes": {"Host": "https://k"},
            "docker": {"Host": "tcp://old:1", "SkipTLSVerify": True, "Future": 1},
        },
        "Later": None,
    }
    config = {"auths": {"r.example.com": {"auth": "c2VjcmV0"}}, "currentContext": "other", "psFormat": "ä"}
    write(store.meta_path("web"), meta)
    write(store.config_path, config)
    kubernetes = os.path.join(store.tls_directory("web"), "kubernetes", "ca.pem")
    write(kubernetes, "k")

    done = run(docker_host=HOST, cert_path=str(authority.issue("admin", server=False)), current=True)
    assert "c2VjcmV0" not in json.dumps(done)
    docker = {"Host": HOST, "SkipTLSVerify": False, "Future": 1}
    meta["Endpoints"] = {"kubernetes": {"Host": "https://k"}, "docker": docker}
    assert json.loads(pathlib.Path(store.meta_path("web")).read_text()) == meta
    assert json.loads(pathlib.Path(store.config_path).read_text()) == {**config, "currentContext": "web"}
    assert pathlib.Path(kubernetes).read_text() == "k"
    assert {"before": "currentContext: other\n", "after": "currentContext: web\n"}.items() <= done["diff"][-1].items()


def test_current_context(run: Run, store: ContextStore) -> None:
    def current() -> t.Any:
        return store.config().get("currentContext")

    for option, expected in ((None, None), (False, None), (True, "web"), (None, "web"), (True, "web"), (False, None)):
        before = current()
        done = run(docker_host=HOST, current=option)
        assert current() == expected
        assert done["context"]["current"] == (expected == "web")
        assert done["changed"] == (before != expected or option is None and expected is None)
    assert run(name="other", docker_host=HOST, current=True)["changed"]
    assert not run(docker_host=HOST, current=False)["changed"]
    assert current() == "other"


def test_new_certificates(run: Run, store: ContextStore, authority: Authority) -> None:
    old, new = (str(authority.issue(name, server=False)) for name in ("old", "new"))
    run(docker_host=HOST, cert_path=old)
    done = run(docker_host=HOST, cert_path=new)
    assert [os.path.basename(item["before_header"]) for item in done["diff"]] == ["cert.pem", "key.pem"]
    shown = done["diff"][1]
    assert (shown["before"], shown["after"]) == ("a private key, mode 0600\n", "another private key, mode 0600\n")
    assert pathlib.Path(store.pem_directory("web"), "key.pem").read_bytes() == pathlib.Path(new, "key.pem").read_bytes()

    os.chmod(os.path.join(store.pem_directory("web"), "key.pem"), 0o644)
    done = run(docker_host=HOST, cert_path=new)
    (shown,) = done["diff"]
    assert (shown["before"], shown["after"]) == ("a private key, mode 0644\n", "a private key, mode 0600\n")

    assert run(docker_host=HOST)["changed"]
    assert os.listdir(store.pem_directory("web")) == []


def test_key_that_a_killed_run_left(run: Run, store: ContextStore, authority: Authority) -> None:
    folder = authority.issue("admin", server=False)
    left = pathlib.Path(store.pem_directory("web"), ".key.pem.abcd1234.tmp")
    write(str(left), "half a key")
    run(docker_host=HOST, cert_path=str(folder))
    assert not left.exists()


@pytest.mark.parametrize("change", ["made", "renewed", "removed"])
def test_a_run_that_is_killed_between_two_operations_is_finished_by_the_next(
    store: ContextStore, home: pathlib.Path, authority: Authority, change: str
) -> None:
    old, new = (str(authority.issue(name, server=False)) for name in ("old", "new"))

    def begin() -> None:
        shutil.rmtree(home, ignore_errors=True)
        write(store.config_path, {"auths": {"registry.example.com": {"auth": "secret"}}})
        if change != "made":
            carry_out(plan_context(store, ContextRequest("web", "tcp://old.example.com:2376", old, True)))

    def plan() -> ContextPlan:
        if change == "removed":
            return plan_removal(store, "web")
        return plan_context(store, ContextRequest("web", HOST, new, change == "made"))

    begin()
    before = tree(home)
    carry_out(plan())
    after = tree(home)
    kills = 0
    while True:
        begin()
        if not killed(lambda: carry_out(plan()), kills):
            break
        kills += 1
        for path, (mode, content) in tree(home).items():
            assert path.endswith(".tmp") or (mode, content) in (before.get(path), after.get(path)), path
        assert json.loads(pathlib.Path(store.config_path).read_text())["auths"]
        carry_out(plan())
        assert tree(home) == after
    assert kills >= 4


def test_removal(run: Run, store: ContextStore, home: pathlib.Path, authority: Authority) -> None:
    folder = authority.issue("admin", server=False)
    for name in ("web", "other"):
        run(name=name, docker_host=HOST, cert_path=str(folder), current=True)
    before = tree(home)
    assert run(state="absent", check=True)["changed"]
    assert tree(home) == before

    assert run(state="absent") | {"invocation": None, "diff": None} == {
        "changed": True,
        "context": None,
        "invocation": None,
        "diff": None,
    }
    assert store.config()["currentContext"] == "other"
    assert not os.path.exists(store.meta_directory("web"))
    assert not os.path.exists(store.tls_directory("web"))
    assert store.meta("other")
    assert not run(state="absent")["changed"]

    assert run(name="other", state="absent")["changed"]
    assert "currentContext" not in store.config()


@pytest.mark.parametrize("name", ["default", "a", "_a", "a b", "a/b", "../x", "", "a\n", "ä1"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_bad_name(run: Run, home: pathlib.Path, name: str, state: str) -> None:
    done = run(name=name, docker_host=HOST, state=state)
    assert done["msg"].startswith(f"option name: {name!r} is not a name that a docker context can have. Use letters")
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "state is present but all of the following are missing: docker_host"),
        ({"docker_host": "ssh://a"}, "docker_host 'ssh://a': ssh:// is not supported"),
        ({"docker_host": "tcp://a:b"}, "docker_host 'tcp://a:b': it is no address"),
        ({"docker_host": HOST, "cert_path": "/none"}, "option cert_path: /none is not a directory"),
        ({"docker_host": HOST, "cert_path": "none"}, "option cert_path: none is a relative path"),
        ({"docker_host": HOST, "cert_path": "/etc"}, "/etc/ca.pem: it cannot be read (No such file or directory)"),
    ],
)
def test_bad_options(run: Run, home: pathlib.Path, options: dict[str, t.Any], message: str) -> None:
    assert run(**options)["msg"].startswith(message)
    assert not home.exists()


def test_bad_certificates(run: Run, home: pathlib.Path, authority: Authority) -> None:
    folder, other = authority.issue("admin", server=False), authority.issue("other", server=False)
    message = "option cert_path: unix:///run/docker.sock is a unix socket, which never speaks TLS. Leave out"
    assert run(docker_host="unix:///run/docker.sock", cert_path=str(folder))["msg"].startswith(message)
    (folder / "key.pem").write_bytes((other / "key.pem").read_bytes())
    message = f"{folder}/key.pem: the key does not belong to {folder}/cert.pem"
    assert run(docker_host=HOST, cert_path=str(folder))["msg"].startswith(message)
    assert not home.exists()


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("content", ["{", "[]", '{"currentContext": 1}', "\x00"])
def test_store_that_cannot_be_used(run: Run, store: ContextStore, home: pathlib.Path, content: str, state: str) -> None:
    write(store.config_path, content)
    before = tree(home)
    done = run(docker_host=HOST, current=True, state=state)
    assert done["msg"].startswith(f"{store.config_path}: it cannot be used (")
    assert tree(home) == before


@pytest.mark.parametrize("content", ["{", '{"Endpoints": [1]}', '{"Endpoints": {"docker": 1}}'])
def test_description_that_cannot_be_used(run: Run, store: ContextStore, home: pathlib.Path, content: str) -> None:
    write(store.meta_path("web"), content)
    before = tree(home)
    assert run(docker_host=HOST, current=True)["msg"].startswith(f"{store.meta_path('web')}: it cannot be used (")
    assert tree(home) == before
    assert run(state="absent")["changed"]
    assert not os.path.exists(store.meta_path("web"))


def test_the_store_of_another_user_is_written_with_the_rights_of_that_user(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[t.Any, ...]] = []
    for name in ("initgroups", "setgroups", "setegid", "seteuid"):
        monkeypatch.setattr(os, name, lambda *words, name=name: calls.append((name, *words)))
    user = pwd.struct_passwd(("ci", "x", 1234, 1235, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", {"ci": user}.__getitem__)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("DOCKER_CONFIG", "/root/elsewhere")
    with acting_as("ci"):
        assert client_directory() == str(tmp_path / ".docker")
        assert calls == [("initgroups", "ci", 1235), ("setegid", 1235), ("seteuid", 1234)]
    assert client_directory() == "/root/elsewhere"
    assert calls[3] == ("seteuid", 0)
    with pytest.raises(RemoteApiError, match="no user nobody-here"), acting_as("nobody-here"):
        pass
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RemoteApiError, match="only root"), acting_as("ci"):
        pass
