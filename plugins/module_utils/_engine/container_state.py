# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Bring a container into the wanted state."""

from __future__ import annotations

import dataclasses
import re
import secrets
import typing as t
from dataclasses import dataclass, field

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine import errors
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.client import Engine, path_of
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.compare import (
    Difference,
    as_diff,
    differences,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.container_config import check_config
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.containers import find_container
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.images import (
    Credentials,
    find_image,
    is_image_id,
    parse_image_name,
    pull_image,
)

# How long an engine waits for a container to stop before it kills it, in seconds, unless the container says otherwise.
STOP_TIMEOUT = 10

Inspected = dict[str, t.Any]


@dataclass(frozen=True)
class Wanted:
    """A container as it should be.

    ``config`` is a body for ``POST /containers/create``, in which the image may be, too.
    """

    name: str | None
    image: str | None
    state: str
    config: t.Mapping[str, t.Any]
    recreate: str = "on_change"
    force: bool = False
    pull: str = "missing"
    credentials: Credentials | None = None

    def body(self) -> dict[str, t.Any]:
        """Return the body for ``POST /containers/create``, without the image.

        Go reads the names of fields in any case of letters; those that are looked at here get their own. Engines 29.0
        to 29.1.1 crash when all ports are to be published and PortBindings is not there (release notes of Docker 29).
        """
        special = {name.lower(): name for name in ("Image", "HostConfig", "NetworkingConfig")}
        body = {special.get(name.lower(), name): value for name, value in self.config.items()}
        body.pop("Image", None)
        host_config = body.get("HostConfig")
        if isinstance(host_config, dict) and any(
            value and name.lower() == "publishallports" for name, value in host_config.items()
        ):
            body["HostConfig"] = {"PortBindings": {}, **host_config}
        return body

    def image_name(self) -> str | None:
        """Return the image's name, from the option or from the config."""
        return self.image or next((value for name, value in self.config.items() if name.lower() == "image"), None)


@dataclass
class Outcome:
    """What was done, or would be done in check mode, and the container afterwards (None when there is none)."""

    container: Inspected | None
    actions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    before: dict[str, t.Any] = field(default_factory=dict)
    after: dict[str, t.Any] = field(default_factory=dict)


def bring_about(engine: Engine, wanted: Wanted, *, check_mode: bool) -> Outcome:
    """Bring a container into the wanted state and return what was done.

    In check mode nothing is, and the outcome tells what would be. Raises EngineError.
    """
    return _Work(engine, wanted, check_mode).run()


class _Work:
    """One run that brings a container into its wanted state."""

    def __init__(self, engine: Engine, wanted: Wanted, check_mode: bool) -> None:
        self._engine = engine
        self._wanted = wanted
        self._dry = check_mode
        self._outcome = Outcome(None)
        self._found_image: Inspected | None = None
        self._config = check_config(wanted.body(), engine.api_version)

    def run(self) -> Outcome:
        """Bring the container into its wanted state. Raises EngineError."""
        current = find_container(self._engine, self._wanted.name) if self._wanted.name else None
        self._outcome.container = current
        self._outcome.before["state"] = state_of(current)
        if self._wanted.state == "absent":
            if current is not None:
                self._remove(current)
                self._outcome.container = None
        else:
            self._bring_up(current)
        self._outcome.after["state"] = self._state_afterwards(current)
        return self._outcome

    def _state_afterwards(self, current: Inspected | None) -> str:
        """Return in which state the container is now, or would be."""
        if self._wanted.state == "created" and current is not None and "created" not in self._outcome.actions:
            return state_of(current)
        return "started" if "started" in self._outcome.actions else self._wanted.state

    def _bring_up(self, current: Inspected | None) -> None:
        """Create, replace, start or stop the container until it is as requested. Raises EngineError."""
        self._outcome.warnings += self._config.warnings
        if current is None:
            current = self._create_first()
        elif self._must_be_recreated(current):
            current = self._recreate(current)
        self._reach_state(current)
        if self._outcome.actions and not self._dry and current is not None:
            self._outcome.container = find_container(self._engine, current["Id"])

    # --- images ---

    def _image(self, needed: bool) -> Inspected | None:
        """Return the image that was asked for, pulled when that is due; None when it is not there.

        :param needed: whether one that is not there is to be pulled. In check mode it then is only noted.
        An ID names one image for ever, so one that is there is not pulled. Raises EngineError.
        """
        name = self._wanted.image_name()
        if self._found_image is not None or name is None:
            return self._found_image
        image = find_image(self._engine, name)
        missing = image is None and needed
        if missing and self._wanted.pull == "never":
            raise errors.no_image(image=name, address=self._engine.connection.address)
        if missing and is_image_id(name):
            raise errors.unpullable_id(image=name)
        if missing and self._dry:
            self._act("pulled")
        elif (missing or self._wanted.pull == "always") and not self._dry and not is_image_id(name):
            image = self._pull(name, image)
        self._found_image = image
        return image

    def _pull(self, name: str, before: Inspected | None) -> Inspected | None:
        """Pull an image and return it; note it when it is another one than before. Raises EngineError."""
        pull_image(self._engine, name, self._wanted.credentials)
        pulled = find_image(self._engine, name)
        if before is None or pulled is None or before["Id"] != pulled["Id"]:
            self._act("pulled")
        return pulled

    # --- creating ---

    def _create_first(self) -> Inspected | None:
        """Create a container that is not there; return it, None in check mode. Raises EngineError."""
        name = self._wanted.name
        if name and re.fullmatch(r"[0-9a-f]{64}", name):
            raise errors.no_such_id(container=name)
        if self._wanted.image_name() is None:
            raise errors.no_image_given(container=name or "without a name")
        self._image(needed=True)
        self._outcome.after["image"] = self._wanted.image_name()
        self._act("created")
        return None if self._dry else self._create(name)

    def _create(self, name: str | None) -> Inspected:
        """Create a container and return what the engine says of it. Raises EngineError."""
        image = self._wanted.image_name()
        answer = self._engine.request(
            "POST", "/containers/create", query={"name": name}, body={**self._config.body, "Image": image}
        ).json()
        self._outcome.warnings += answer.get("Warnings") or []
        created = self._engine.get_json(f"/containers/{answer['Id']}/json")
        ignored = self._config_differences(created)
        self._outcome.warnings += [
            f"The engine took {'.'.join(one.path)} for {one.actual!r}, not for {one.asked!r} as config says."
            " With recreate=on_change this container will be made anew in each run."
            for one in ignored
        ]
        return t.cast(Inspected, created)

    def _must_be_recreated(self, current: Inspected) -> bool:
        """Return whether a container is not as it was asked for. Raises EngineError."""
        if self._wanted.recreate == "never":
            return False
        found = self._image_difference(current) + self._config_differences(current)
        before, after = as_diff(found)
        self._outcome.before.update(before)
        self._outcome.after.update(after)
        return bool(found) or self._wanted.recreate == "always"

    def _config_differences(self, current: Inspected) -> list[Difference]:
        """Return how a container differs from config, without what only looks so. Raises EngineError."""
        own_image = find_image(self._engine, current["Image"])
        found = differences(self._config.compared, current, own_image)
        found = [one for one in found if not self._means_same_container(one)]
        if any(one.may_be_dropped for one in found):
            info = self._engine.get_json("/info")
            found = [one for one in found if not one.is_dropped(info)]
        return found

    def _image_difference(self, current: Inspected) -> list[Difference]:
        """Return the difference between the image that was asked for and the one that the container was made from.

        Their IDs count. A name says nothing, because its tag may have moved, unless it is gone. Raises EngineError.
        """
        name = self._wanted.image_name()
        if name is None:
            return []
        used = current["Config"]["Image"]
        gone_but_same = parse_image_name(name) == parse_image_name(used)
        image = self._image(needed=not gone_but_same)
        if image is None and gone_but_same:
            return []
        if image is not None and image["Id"] == current["Image"]:
            return []
        asked = f"{name} ({image['Id']})" if image else name
        return [Difference(("Image",), asked, f"{used} ({current['Image']})")]

    def _means_same_container(self, one: Difference) -> bool:
        """Return whether both sides name one container, such as ``container:web`` and its ID. Raises EngineError."""
        if not (isinstance(one.asked, str) and one.asked.startswith("container:")):
            return False
        # Here any beginning of an ID counts, because the engine takes it for one as well.
        other = self._engine.get_or_none(f"/containers/{path_of(one.asked.partition(':')[2].lstrip('/'))}/json")
        return other is not None and one.actual == f"container:{other['Id']}"

    def _recreate(self, current: Inspected) -> Inspected | None:
        """Replace a container; return the new one, None in check mode.

        The new one is created first, under another name, so that a config that the engine refuses costs nothing.
        Raises EngineError.
        """
        if self._wanted.image_name() is None:
            used = current["Config"]["Image"]
            self._wanted = dataclasses.replace(self._wanted, image=used)
        self._image(needed=True)
        if self._dry:
            self._remove(current)
            self._act("created")
            if self._wanted.state == "created" and is_running(current):
                self._act("started")
            return None
        name = current["Name"].lstrip("/")
        new = self._create(f"{name}-{secrets.token_hex(4)}")
        try:
            self._remove(current)
        except errors.EngineError:
            self._engine.request("DELETE", f"/containers/{new['Id']}", query={"force": True})
            raise
        self._engine.request("POST", f"/containers/{new['Id']}/rename", query={"name": name})
        self._act("created")
        if self._wanted.state == "created" and is_running(current):
            self._start(new)
        return new

    # --- running ---

    def _reach_state(self, current: Inspected | None) -> None:
        """Start or stop a container (None in check mode, when it is not there yet). Raises EngineError."""
        running = current is not None and is_running(current)
        if self._wanted.state == "started":
            if current is not None and current["State"].get("Paused"):
                self._post(current, "unpause", "unpaused", 204)
            elif not running:
                self._start(current)
        elif self._wanted.state == "stopped" and running and current is not None:
            self._stop(current)

    def _start(self, container: Inspected | None) -> None:
        """Start a container. Raises EngineError."""
        self._post(container, "start", "started", 204, 304)

    def _stop(self, container: Inspected) -> None:
        """Stop a container, or kill it when that is wanted. Raises EngineError."""
        grace = container["Config"].get("StopTimeout")
        grace = STOP_TIMEOUT if grace is None else grace
        seconds = self._engine.connection.timeout + max(grace, 0)
        query = {"t": 0} if self._wanted.force else {}
        self._post(container, "stop", "stopped", 204, 304, seconds=seconds, query=query)

    def _post(
        self,
        container: Inspected | None,
        verb: str,
        action: str,
        *accept: int,
        seconds: float | None = None,
        query: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        """Send an action on a container to the engine, and record it. Raises EngineError."""
        if not self._dry and container is not None:
            path = f"/containers/{container['Id']}/{verb}"
            self._engine.request("POST", path, query=query, accept=accept, seconds=seconds)
        self._act(action)

    def _remove(self, container: Inspected) -> None:
        """Remove a container, after it was stopped, or killed when that is wanted. Raises EngineError."""
        if is_running(container):
            self._stop(container)
        if not self._dry:
            path = f"/containers/{container['Id']}"
            if (container.get("HostConfig") or {}).get("AutoRemove") and is_running(container):
                self._engine.request("POST", f"{path}/wait", query={"condition": "removed"}, accept=(200, 404))
            self._engine.request("DELETE", path, query={"force": self._wanted.force}, accept=(204, 404))
        self._act("removed")

    def _act(self, action: str) -> None:
        """Record an action for the result."""
        if action not in self._outcome.actions:
            self._outcome.actions.append(action)


def is_running(container: Inspected) -> bool:
    """Return whether a container runs; one that is paused or restarting does."""
    return bool(container["State"].get("Running"))


def state_of(container: Inspected | None) -> str:
    """Return in which state a container is, in the words of the option ``state``."""
    if container is None:
        return "absent"
    if is_running(container):
        return "started"
    return "created" if container["State"].get("Status") == "created" else "stopped"


__all__ = ("Outcome", "Wanted", "bring_about", "is_running", "state_of")
