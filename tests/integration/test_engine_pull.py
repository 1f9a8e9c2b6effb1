# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pulling from a real registry: public, with a password, and with a certificate of a private authority."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.tests.integration.engine_support import Pki, named, play
from ansible_collections.dockerfleet.remote_api.tests.integration.registry_support import hashed, registry_program
from ansible_collections.dockerfleet.remote_api.tests.integration.support import (
    IMAGE,
    LAB,
    Ansible,
    Host,
    Lab,
    wait_for,
)

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: /var/lib/registry}}, delete: {{enabled: true}}}}
http: {{addr: ":{port}", secret: a, {tls}}}
{auth}
"""
TLS = "tls: {certificate: /etc/registry/cert.pem, key: /etc/registry/key.pem}"
AUTH = "auth: {htpasswd: {realm: lab, path: /etc/registry/users}}"
REGISTRIES = {5000: ("", ""), 5001: ("", AUTH), 5002: (TLS, "")}
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def program() -> Path:
    return registry_program()


@pytest.fixture(scope="module")
def host(lab: Lab, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Return a host with an engine, three registries, and an image in each of them, but none of them in the engine."""
    host = lab.host("registry", "trixie")
    host.make_image()
    pki = Pki.make(tmp_path_factory.mktemp("registry-pki") / "pki", "Registry CA")
    server = pki.issue("registry", f"subjectAltName = IP:{host.address}\n")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        host.write(f"/etc/registry/{name}", (server / name).read_text())
    host.write("/etc/registry/users", f"ada:{hashed(PASSWORD)}\n")
    with program.open("rb") as binary:
        copy = "cat > /usr/local/bin/docker-registry && chmod 0755 /usr/local/bin/docker-registry"
        run_with_bytes(host, copy, binary.read())
    for port, (tls, auth) in REGISTRIES.items():
        host.write(f"/etc/registry/{port}.yml", CONFIG.format(port=port, tls=tls, auth=auth))
        host.sh(f"systemd-run --unit registry-{port} docker-registry serve /etc/registry/{port}.yml")
    addresses = f"http://localhost:5000 http://localhost:5001 https://{host.address}:5002"
    probe = f"for address in {addresses}; do curl -sk -m 2 -o /dev/null $address/v2/ || exit 1; done"
    wait_for(lambda: host.exec("sh", "-c", probe, check=False).returncode == 0, "the registries")
    host.sh(
        f"set -e; docker tag {IMAGE} localhost:5000/app:1; docker push -q localhost:5000/app:1;"
        f" docker tag {IMAGE} localhost:5000/app:latest; docker push -q localhost:5000/app:latest;"
        f" docker rmi localhost:5000/app:1 localhost:5000/app:latest {IMAGE}"
    )
    return host


def run_with_bytes(host: Host, script: str, content: bytes) -> None:
    """Run a shell script on a host with bytes as its standard input."""
    subprocess.run([LAB, "exec", host.name, "--", "sh", "-c", script], input=content, check=True)


def container(title: str, **options: Any) -> dict[str, Any]:
    return {"name": title, "dockerfleet.remote_api.container": {"state": "created", **options}, "ignore_errors": True}


def shell(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "ansible.builtin.shell": script, "changed_when": False}


LOGIN = {"username": "ada", "password": PASSWORD}
PUBLIC = {"name": "public", "image": "localhost:5000/app:1"}
PRIVATE = {"name": "private", "image": "localhost:5001/app:1"}


@pytest.fixture(scope="module")
def told(host: Host, module_ansible: Ansible) -> dict[str, Any]:
    """Return the results of the whole story, by task, and what the run printed."""
    address = f"{host.address}:5002"
    trusted = f"/etc/docker/certs.d/{address}"
    story = [
        {**container("check public", **PUBLIC), "check_mode": True},
        shell("nothing yet", "docker image ls -q"),
        container("never", **PUBLIC, pull="never"),
        container("public", **PUBLIC),
        shell("images", "docker image ls --format '{{ '{{.Repository}}:{{.Tag}}' }}'"),
        {
            **shell("digest", "docker inspect --format '{{ '{{index .RepoDigests 0}}' }}' localhost:5000/app:1"),
            "register": "digest",
        },
        {
            "name": "by digest",
            "dockerfleet.remote_api.image_info": {
                "names": ["{{ digest.stdout }}", "localhost:5000/app@sha256:" + "0" * 64]
            },
        },
        container("public again", **PUBLIC),
        container("always", **PUBLIC, pull="always"),
        container("missing tag", name="none", image="localhost:5000/app:none"),
        container("missing repository", name="none", image="localhost:5000/none"),
        container("without password", **PRIVATE),
        container("wrong password", **PRIVATE, registry={**LOGIN, "password": "wrong battery"}),
        container("right password", **PRIVATE, registry=LOGIN),
        container("unknown authority", name="tls", image=f"{address}/app:1"),
        shell("trust", f"mkdir -p {trusted} && cp /etc/registry/ca.pem {trusted}/ca.crt"),
        container("known authority", name="tls", image=f"{address}/app:1"),
        shell(
            "new image",
            "docker commit --change 'LABEL new=1' public localhost:5000/app:1 && docker push -q localhost:5000/app:1"
            f" && docker rmi localhost:5000/app:1 && docker tag {address}/app:1 localhost:5000/app:1",
        ),
        container("newer, not wanted", **PUBLIC),
        {**container("newer, in check mode", **PUBLIC, pull="always"), "check_mode": True},
        container("newer", **PUBLIC, pull="always"),
        shell("label", "docker inspect --format '{{ '{{.Config.Labels.new}}' }}' public"),
        {
            "name": "by hand",
            "dockerfleet.remote_api.engine_api": {
                "method": "POST",
                "path": "/images/create",
                "query": {"fromImage": "localhost:5000/app", "tag": "latest"},
            },
        },
    ]
    done = module_ansible.playbook(play(story), [host], "-vvv", "--diff", env={"ANSIBLE_PIPELINING": "1"})
    assert done.rc == 0, done.output
    assert "Traceback" not in done.output
    return {**named(done.of(host)), "output": done.output}


def test_check_mode_pulls_nothing(told: dict[str, Any]) -> None:
    assert told["check public"]["actions"] == ["pulled", "created"]
    assert told["nothing yet"]["stdout"] == ""


def test_missing_image_without_a_pull(told: dict[str, Any]) -> None:
    assert told["never"]["msg"].startswith("image localhost:5000/app:1 at unix:///var/run/docker.sock: the engine does")


def test_one_tag_is_pulled(told: dict[str, Any]) -> None:
    assert told["public"]["actions"] == ["pulled", "created"]
    assert told["images"]["stdout_lines"] == ["localhost:5000/app:1"]
    assert not told["public again"]["changed"]
    assert not told["always"]["changed"]


def test_image_by_digest(told: dict[str, Any]) -> None:
    (image,) = told["by digest"]["images"]
    assert image["RepoDigests"] == [told["digest"]["stdout"]]
    assert told["digest"]["stdout"].startswith("localhost:5000/app@sha256:")
    assert told["by digest"]["missing"] == ["localhost:5000/app@sha256:" + "0" * 64]


def test_missing_in_the_registry(told: dict[str, Any]) -> None:
    for name, image in (("missing tag", "localhost:5000/app:none"), ("missing repository", "localhost:5000/none")):
        assert told[name]["msg"].startswith(f"image {image} at unix:///var/run/docker.sock: it could not be pulled: ")
        assert told[name]["endpoint"] == "POST /images/create"


def test_passwords(told: dict[str, Any]) -> None:
    for name in ("without password", "wrong password"):
        assert told[name]["msg"].startswith("image localhost:5001/app:1 at ")
        assert "it could not be pulled: " in told[name]["msg"]
        assert "Check the image's name and tag, the registry's user and password" in told[name]["msg"]
    assert told["right password"]["actions"] == ["pulled", "created"]
    for secret in (PASSWORD, "wrong battery"):
        assert secret not in told["output"]


def test_private_authority(told: dict[str, Any]) -> None:
    assert "certificate signed by unknown authority" in told["unknown authority"]["msg"]
    assert told["known authority"]["actions"] == ["pulled", "created"]


def test_newer_image_in_the_registry(told: dict[str, Any]) -> None:
    assert not told["newer, not wanted"]["changed"]
    assert not told["newer, in check mode"]["changed"]
    assert told["newer"]["actions"] == ["pulled", "removed", "created"]
    assert told["label"]["stdout"] == "1"


def test_pull_with_engine_api(told: dict[str, Any]) -> None:
    assert told["by hand"]["json"][-1]["status"].startswith("Status: ")
