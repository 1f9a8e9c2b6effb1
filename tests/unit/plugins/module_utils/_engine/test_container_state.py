# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of an engine to bring a container about; tests/integration has the engines themselves."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.container_state import Wanted, bring_about
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.errors import OptionError

ID = "0123456789ab" + "0" * 52
IMAGE_IDS = [f"sha256:{ID}", ID, ID[:12], f"sha256:{ID[:12]}"]


def wanted(image: str) -> Wanted:
    return Wanted("web", image, "created", {}, pull="always")


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("name", IMAGE_IDS)
def test_image_that_is_there_by_its_id_needs_no_pull(
    serve: Any, fake_engine: Any, engine_at: Any, name: str, check_mode: bool
) -> None:
    image = {"Id": f"sha256:{ID}", "RepoTags": []}
    container = {
        "Id": "1", "Name": "/web", "Image": image["Id"], "Config": {"Image": name}, "State": {"Running": False},
    }  # fmt: skip
    played = fake_engine({f"GET /images/{one}/json": image for one in IMAGE_IDS})
    played.answers["GET /containers/web/json"] = container
    outcome = bring_about(engine_at(serve(played).address), wanted(name), check_mode=check_mode)
    assert outcome.actions == []
    assert not [line for line, _body in played.requests if "/images/create" in line]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("name", IMAGE_IDS)
def test_image_that_is_not_there_by_its_id(
    serve: Any, fake_engine: Any, engine_at: Any, name: str, check_mode: bool
) -> None:
    missing = ("404 Not Found", {"message": "No such image"})
    played = fake_engine({f"GET /images/{name}/json": missing, "GET /containers/web/json": missing})
    engine = engine_at(serve(played).address)
    with pytest.raises(OptionError, match=f"^image {name}: the engine does not have it, and an ID cannot be pulled"):
        bring_about(engine, wanted(name), check_mode=check_mode)
