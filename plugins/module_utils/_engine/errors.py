# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text of the connection to an engine, in one place.

Each function returns an error to raise. The kinds of errors are in :mod:`error_kinds`.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._engine.error_kinds import (
    AnswerError,
    BrokenAnswerError,
    EngineError,
    MissingLibraryError,
    OptionError,
    PlainHttpError,
    TimedOutError,
    TlsError,
    UnreachableError,
)


def one_line(text: str) -> str:
    """Return the first words of a text on one line, without HTML tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", text[:2000]).split())[:200]


def sample(text: str) -> str:
    """Return how an answer begins, to be put behind a sentence; empty when there is nothing."""
    words = one_line(text)
    return f", beginning with {words[:80]!r}" if words else ""


# --- options -----------------------------------------------------------------------------------------------------


def bad_address(source: str, address: str, cause: str) -> OptionError:
    """The address of the engine, taken from ``source``, cannot be used because of ``cause``."""
    return OptionError(
        f"{source} {address!r}",
        cause,
        "Write unix:///PATH or tcp://HOST:PORT, for example tcp://docker.example.com:2376.",
    )


def bad_option(name: str, cause: str, remedy: str) -> OptionError:
    """The option ``name`` cannot be used."""
    return OptionError(f"option {name}", cause, remedy)


def bad_context(name: str, cause: str) -> OptionError:
    """The docker context ``name`` cannot be used."""
    return OptionError(
        f"docker context {name!r}",
        cause,
        "Set docker_host, or choose another context with 'docker context use'.",
    )


def bad_client_configuration(path: str, cause: str) -> OptionError:
    """The docker client's configuration file cannot be read."""
    return OptionError(path, cause, "Repair the file, or set docker_host so that no docker context is looked up.")


def bad_tls_file(path: str, cause: str, remedy: str, machine: str) -> OptionError:
    """A certificate or key file cannot be used on the machine called ``machine``."""
    return OptionError(path, cause, f"{remedy} The file is read on {machine}, where this task runs.")


def missing_library(python: str, machine: str, detail: str) -> MissingLibraryError:
    """The Python at the path ``python`` lacks requests; ``detail`` is what the import said."""
    return MissingLibraryError(
        f"{python} on {machine}",
        f"the Python library requests (2.25 or later) cannot be imported ({detail})",
        "Install it there (package python3-requests), or run the task where it is, with delegate_to.",
    )


# --- reaching the engine -----------------------------------------------------------------------------------------


def no_socket(path: str) -> UnreachableError:
    """There is no file where the engine's socket should be."""
    return UnreachableError(
        f"unix://{path}",
        "there is no such file, so no engine listens here",
        "Start Docker (systemctl start docker), or say in docker_host where its socket is.",
    )


def dead_socket(path: str) -> UnreachableError:
    """The engine's socket is there, and nothing listens on it."""
    return UnreachableError(
        f"unix://{path}",
        "the connection was refused, so no engine listens on this socket",
        "Start Docker (systemctl start docker.socket docker), or say in docker_host where its socket is.",
    )


def socket_forbidden(path: str, user: str) -> UnreachableError:
    """The user (a number) may not open the engine's socket."""
    return UnreachableError(
        f"unix://{path}",
        f"the user with ID {user} may not open it",
        "Use become, or a user of the group that the socket belongs to (often docker).",
    )


def refused(address: str) -> UnreachableError:
    """Nothing listens at the address."""
    return UnreachableError(
        address,
        "the connection was refused, so nothing listens there",
        "Check that Docker runs and that it listens on this address (ss -ltn on the host).",
    )


def unknown_host(address: str, host: str, detail: str) -> UnreachableError:
    """The host name has no address."""
    return UnreachableError(
        address,
        f"the name {host!r} cannot be resolved ({detail})",
        "Check the name, or use the host's IP address.",
    )


def unreachable(address: str, detail: str) -> UnreachableError:
    """The operating system found no way to the address; ``detail`` is what it said."""
    return UnreachableError(
        address,
        f"it cannot be connected to ({detail})",
        "Check the address, the network and the firewall between this machine and the engine.",
    )


def timed_out(address: str, phase: str, seconds: float, *, reached: bool) -> TimedOutError:
    """The time was over while ``phase`` (such as C(connecting)) was under way."""
    return TimedOutError(
        address,
        f"timed out after {seconds:g} seconds while {phase}",
        "Check that the engine is healthy and not blocked by a firewall, or raise timeout.",
        phase=phase,
        reached=reached,
    )


def cut_off(address: str, phase: str, detail: str, *, reached: bool) -> BrokenAnswerError:
    """The connection ended while ``phase`` was under way."""
    return BrokenAnswerError(
        address,
        f"the connection was closed while {phase} ({detail})",
        "Look at the engine's journal (journalctl -u docker) for the reason, then try again.",
        reached=reached,
    )


# --- TLS ---------------------------------------------------------------------------------------------------------


def certificate_refused(address: str, cause: str, remedy: str) -> TlsError:
    """This side does not accept the engine's certificate."""
    return TlsError(address, cause, remedy)


def wants_client_certificate(address: str) -> TlsError:
    """The engine asks for a client certificate, and none was given."""
    return TlsError(
        address,
        "the engine wants a client certificate, and none was given",
        "Set cert_path (a directory with ca.pem, cert.pem and key.pem), or client_cert and client_key.",
    )


def client_certificate_refused(address: str, certificate: str, reason: str) -> TlsError:
    """The engine does not accept the client certificate in the file ``certificate``."""
    return TlsError(
        address,
        f"the engine refuses the client certificate {certificate}: {reason}",
        "Use a certificate that the authority in the engine's --tlscacert signed for clientAuth and that is in date"
        f" (openssl x509 -noout -text -in {certificate}).",
    )


def plain_http(address: str) -> PlainHttpError:
    """TLS was spoken to a port that speaks plain HTTP."""
    return PlainHttpError(
        address,
        "this port speaks plain HTTP, not TLS",
        "Use the port on which the engine listens with --tlsverify (often 2376), or set tls to false"
        " where plain HTTP is meant.",
    )


def wants_tls(address: str) -> TlsError:
    """Plain HTTP was spoken to a port that speaks TLS."""
    return TlsError(
        address,
        "this port speaks TLS, not plain HTTP",
        "Set tls to true, and cert_path to the directory with ca.pem, cert.pem and key.pem.",
    )


def tls_failed(address: str, detail: str) -> TlsError:
    """TLS failed in another way; ``detail`` is what OpenSSL says."""
    return TlsError(
        address,
        f"TLS failed ({detail})",
        "Check what the port speaks with: openssl s_client -connect HOST:PORT.",
    )


# --- answers -----------------------------------------------------------------------------------------------------


def not_an_engine(address: str, endpoint: str, detail: str) -> BrokenAnswerError:
    """The answer to ``endpoint`` is none that an engine gives."""
    return BrokenAnswerError(
        f"{endpoint} at {address}",
        detail,
        "Check that the address is that of a Docker engine and that no proxy stands between.",
        reached=True,
    )


def answer_too_big(address: str, endpoint: str, limit: int) -> BrokenAnswerError:
    """The answer does not fit into the memory that is set aside for it (``limit`` in bytes)."""
    return BrokenAnswerError(
        f"{endpoint} at {address}",
        f"the answer is larger than {limit // 2**20} MiB",
        "Ask for less, or use the module engine_api with dest to write the answer to a file.",
        reached=True,
    )


_REMEDIES: t.Mapping[int, str] = {
    400: "Correct the request; the engine's API reference lists what it takes.",
    401: "Give the right user name and password.",
    403: "Ask the one who runs the engine for permission (an authorization plugin or a proxy refuses this).",
    404: "Check the name; names, tags and IDs are those that 'docker ps -a' and 'docker image ls' show.",
    409: "Resolve the conflict that the engine names, then try again.",
}


def bad_status(address: str, endpoint: str, status: int, message: str) -> AnswerError:
    """The engine answered with an error; ``message`` holds its own words."""
    return AnswerError(
        f"{endpoint} at {address}",
        f"the engine answered with status {status}: {message or 'without a message'}",
        _REMEDIES.get(status, "Look at the engine's journal (journalctl -u docker) for the reason."),
        status=status,
        endpoint=endpoint,
        message=message,
    )


def bad_api_version(address: str, endpoint: str, message: str, lowest: str, highest: str) -> AnswerError:
    """The engine does not speak the API version that was asked for, only ``lowest`` to ``highest``."""
    return AnswerError(
        f"{endpoint} at {address}",
        f"{message} (this engine speaks API versions {lowest} to {highest})",
        "Leave api_version out, so that a version is negotiated, or set it to one within this range.",
        status=400,
        endpoint=endpoint,
        message=message,
    )


# --- images and containers ---------------------------------------------------------------------------------------


def hub_not_reached(address: str, term: str, message: str, status: int) -> AnswerError:
    """The engine could not ask Docker Hub for ``term``; ``message`` holds its words."""
    return AnswerError(
        f"image search for {term!r} at {address}",
        f"the engine could not ask Docker Hub: {message}",
        "The search is done by Docker Hub, so the engine's host needs a way to it (DNS, firewall, proxy).",
        status=status,
        endpoint="GET /images/search",
        message=message,
    )


def pull_failed(address: str, image: str, message: str, status: int) -> AnswerError:
    """The engine could not fetch an image; ``message`` holds its words, ``status`` is 200 when it had begun to."""
    return AnswerError(
        f"image {image} at {address}",
        f"it could not be pulled: {message}",
        "Check the image's name and tag, the registry's user and password, and that the engine's host reaches and"
        " trusts the registry.",
        status=status,
        endpoint="POST /images/create",
        message=message,
    )


def unpullable_image(image: str) -> OptionError:
    """An image named by its ID is not there, and no registry knows IDs."""
    return OptionError(
        f"image {image}", "the engine does not have it, and an ID cannot be pulled", "Name the image by its repository."
    )


def failed_in_stream(address: str, endpoint: str, status: int, message: str) -> AnswerError:
    """The engine began well, and told of a failure (``message``) in the stream that followed."""
    return AnswerError(
        f"{endpoint} at {address}",
        f"the engine told of an error while it worked: {message}",
        "Look at the engine's journal (journalctl -u docker) for more.",
        status=status,
        endpoint=endpoint,
        message=message,
    )


def bad_file(path: str, cause: str) -> OptionError:
    """A file for an answer cannot be written."""
    return OptionError(path, cause, "Check the path, its permissions, and the space that is left there.")


def no_image(address: str, image: str) -> EngineError:
    """The image is not there and is not to be pulled."""
    return EngineError(
        f"image {image} at {address}",
        "the engine does not have it, and pull is never",
        "Load or build it there, or set pull to missing.",
        reached=True,
    )


def no_image_given(container: str) -> OptionError:
    """A container has to be created, and it is not said from which image."""
    return OptionError(
        f"container {container}", "it does not exist, and image is not set", "Set image, so that it can be created."
    )


def no_such_container(container: str) -> EngineError:
    """A container is addressed by an ID that no container has."""
    return EngineError(
        f"container {container}",
        "there is none with this ID, and one cannot be created with it",
        "Use a name, or the ID of a container that exists ('docker ps -a').",
        reached=True,
    )


# --- checks ------------------------------------------------------------------------------------------------------


def checks_failed(address: str, failed: t.Sequence[tuple[str, str, str]], total: int) -> EngineError:
    """Some of ``total`` checks failed; each of those has a name, what was seen, and what to do about it."""
    remedies = list(dict.fromkeys(remedy for name, seen, remedy in failed))
    return EngineError(
        address,
        f"{len(failed)} of {total} checks failed: " + "; ".join(f"{name} ({seen})" for name, seen, remedy in failed),
        " ".join(remedies),
        reached=True,
    )


__all__ = (
    "answer_too_big",
    "bad_address",
    "bad_api_version",
    "bad_client_configuration",
    "bad_context",
    "bad_file",
    "bad_option",
    "bad_status",
    "bad_tls_file",
    "certificate_refused",
    "checks_failed",
    "client_certificate_refused",
    "cut_off",
    "dead_socket",
    "failed_in_stream",
    "hub_not_reached",
    "missing_library",
    "no_image",
    "no_image_given",
    "no_socket",
    "no_such_container",
    "not_an_engine",
    "one_line",
    "plain_http",
    "pull_failed",
    "refused",
    "sample",
    "socket_forbidden",
    "timed_out",
    "tls_failed",
    "unknown_host",
    "unpullable_image",
    "unreachable",
    "wants_client_certificate",
    "wants_tls",
)
