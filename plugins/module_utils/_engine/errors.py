# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error of the way to an engine or a registry: its kinds, and its texts as subject, cause and remedy."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


@dataclass(frozen=True)
class Peer:
    """What answers at an address, in the words of the texts.

    ``service`` is what has to run there, ``log`` where it says more, ``option`` the option with its address. The others
    name the options and the settings of TLS, or say what to do about them.
    """

    name: str
    service: str
    log: str
    option: str
    ca_options: str
    client_options: str
    client_ca: str
    plain_remedy: str
    tls_remedy: str


ENGINE = Peer(
    name="engine",
    service="Docker",
    log="the engine's journal (journalctl -u docker)",
    option="docker_host",
    ca_options="ca_path (or cert_path)",
    client_options="cert_path (a directory with ca.pem, cert.pem and key.pem), or client_cert and client_key",
    client_ca="the CA in the engine's --tlscacert",
    plain_remedy="Use the port on which the engine listens with --tlsverify (often 2376), or set tls to false where"
    " plain HTTP is meant.",
    tls_remedy="Set tls to true, and cert_path to the directory with ca.pem, cert.pem and key.pem.",
)
REGISTRY = Peer(
    name="registry",
    service="the registry",
    log="the registry's log",
    option="registry",
    ca_options="ca_path",
    client_options="client_cert and client_key",
    client_ca="the registry's CA for clients",
    plain_remedy="Use the port on which the registry speaks TLS, or set tls to false where plain HTTP is meant.",
    tls_remedy="Set tls to true, which is the default.",
)
# The registry says where it is. The task's options about certificates count for it, too.
TOKEN_SERVER = Peer(
    name="token server",
    service="the token server",
    log="the token server's log",
    option="the registry's auth.token.realm",
    ca_options="ca_path",
    client_options="username and password, and let it ask for nothing else; client_cert is for the registry alone",
    client_ca="the token server's CA for clients",
    plain_remedy="Write a port on which it speaks TLS in the registry's auth.token.realm.",
    tls_remedy="Write https:// in the registry's auth.token.realm.",
)


class EngineError(RemoteApiError):
    """A request to an engine failed."""


class OptionError(EngineError):
    """An option, an environment variable, or a file that one of them names, cannot be used."""


class MissingLibraryError(EngineError):
    """The Python that runs the task cannot import requests."""


class UnreachableError(EngineError):
    """No connection could be made."""


class UnknownHostError(UnreachableError):
    """The name of the host has no address."""


class TimedOutError(EngineError):
    """The time limit passed."""


class TlsError(EngineError):
    """The two sides do not agree on TLS."""


class PlainHttpError(TlsError):
    """A port that was expected to speak TLS speaks plain HTTP."""


class BrokenAnswerError(EngineError):
    """The answer is not one that an engine gives, or it was cut off."""


class CutOffError(BrokenAnswerError):
    """The connection ended before the answer did."""


class AnswerError(EngineError):
    """The engine answered with an error: the HTTP status, method and path of the request, and the engine's words."""

    status = 0
    endpoint = ""
    message = ""

    def with_answer(self, status: int, endpoint: str, message: str) -> AnswerError:
        """Keep what the engine answered, and return the error."""
        self.status, self.endpoint, self.message = status, endpoint, message
        return self


# --- options and files -------------------------------------------------------------------------------------------

bad_address = OptionError.text(
    "{source} {address!r}",
    "{cause}",
    "Write unix:///PATH or tcp://HOST:PORT, for example tcp://docker.example.com:2376.",
)
bad_timeout = OptionError.text("option timeout", "{seconds} is not a time", "Give a number of seconds above 0.")
bad_version = OptionError.text(
    "option api_version", "{version!r} is no version", "Write it as MAJOR.MINOR, for example 1.44."
)
bad_hostname = OptionError.text(
    "option tls_hostname",
    "{name!r} is not a name that a certificate can carry",
    "Write the name of a host, for example docker.example.com, or an IP address.",
)
incomplete_client = OptionError.text(
    "option {missing}", "it is missing beside {present}", "Give both, the client's certificate and its key."
)
relative_path = OptionError.text(
    "option {name}",
    "{path} is a relative path, which would begin in the working directory on {machine}, not at the playbook",
    "Write an absolute path. For a file beside the playbook, run the task on the controller (delegate_to: localhost).",
)
not_a_directory = OptionError.text(
    "option {source}", "{path} is not a directory", "Name the one with ca.pem, cert.pem and key.pem."
)
no_ca_file = OptionError.text(
    "option {source}", "there is no ca.pem in {path}", "Put the CA's certificate there, or set ca_path."
)
bad_context = OptionError.text(
    "docker context {name!r}", "{cause}", "Set docker_host, or choose another context with 'docker context use'."
)
bad_client_config = OptionError.text(
    "{path}", "{cause}", "Repair the file, or set docker_host so that no docker context is looked up."
)
unreadable_file = OptionError.text(
    "{path}",
    "it cannot be read ({reason})",
    "Check the path and its permissions. The file is read on {machine}, where this task runs.",
)
not_pem = OptionError.text(
    "{path}",
    "it is no PEM file",
    "Name a file with a line that begins with -----BEGIN. It is read on {machine}, where this task runs.",
)
no_certificate = OptionError.text(
    "{path}",
    "it holds no readable certificate ({reason})",
    "Put the CA's certificate there. The file is read on {machine}, where this task runs.",
)
encrypted_key = OptionError.text(
    "{path}",
    "the key is encrypted",
    "Remove its passphrase with: openssl pkey -in KEY -out NEW_KEY. The file is read on {machine}, where this task"
    " runs.",
)
foreign_key = OptionError.text(
    "{path}",
    "the key does not belong to {certificate}",
    "Use the pair that belongs together. The files are read on {machine}, where this task runs.",
)
bad_client_pair = OptionError.text(
    "{path}",
    "it cannot be read as a client's key with the certificate {certificate} ({reason})",
    "Use a PEM certificate and its PEM key. The files are read on {machine}, where this task runs.",
)
missing_library = MissingLibraryError.text(
    "{python} on {machine}",
    "the Python library requests (2.25 or later) cannot be imported ({reason})",
    "Install it there (package python3-requests), or run the task where it is, with delegate_to.",
)
bad_path = OptionError.text("option path", "{path} does not begin with a slash", "Write it as in /containers/json.")
bad_header = OptionError.text(
    "option headers", "{name!r} cannot be sent as a header", "Use printable characters on one line."
)
bad_dest = OptionError.text(
    "option dest", "{path} is not the path of a file in a folder that exists", "Name such a file."
)
unwritable_dest = OptionError.text(
    "{path}", "it cannot be written ({reason})", "Check its permissions and the space that is left there."
)
not_checkable = OptionError.text(
    "option docker_host", "{address} is a unix socket", "Give the TCP address that is to be checked."
)

# --- connecting --------------------------------------------------------------------------------------------------

no_socket = UnreachableError.text(
    "{address}",
    "there is no such file, so no engine listens here",
    "Start Docker (systemctl start docker), or say in docker_host where its socket is.",
)
dead_socket = UnreachableError.text(
    "{address}",
    "the connection was refused, so no engine listens on this socket",
    "Start Docker (systemctl start docker.socket docker), or say in docker_host where its socket is.",
)
forbidden_socket = UnreachableError.text(
    "{address}",
    "the user with ID {user} may not open it",
    "Use become, or a user of the group that the socket belongs to (often docker).",
)
refused = UnreachableError.text(
    "{address}",
    "the connection was refused, so nothing listens there",
    "Check that {peer.service} runs and that it listens on this address (ss -ltn on the host).",
)
unknown_host = UnknownHostError.text(
    "{address}",
    "the name {host!r} cannot be resolved ({reason})",
    "Check the name, or use the host's IP address.",
)
unreachable = UnreachableError.text(
    "{address}",
    "it cannot be connected to ({reason})",
    "Check the address, the network and the firewall between this machine and the {peer.name}.",
)
timed_out = TimedOutError.text(
    "{address}",
    "timed out after {seconds:g} seconds while {phase}",
    "Check that the {peer.name} is healthy and not blocked by a firewall, or raise timeout.",
)
cut_off = CutOffError.text(
    "{address}",
    "the connection was closed while {phase} ({reason})",
    "Look at {peer.log} for the reason, then try again.",
)

# --- TLS ---------------------------------------------------------------------------------------------------------

expired = TlsError.text(
    "{address}", "{certificate} expired on {end}", "Renew it, or set the clock of this machine (it is now {now} here)."
)
not_yet_valid = TlsError.text(
    "{address}",
    "{certificate} is not valid before {start}",
    "Set the clocks of both machines (it is now {now} here).",
)
wrong_name = TlsError.text(
    "{address}",
    "the {peer.name}'s certificate{subject} does not carry the name {name}; it carries {carried}",
    "Use one of its names in {peer.option}, or set tls_hostname to one, or issue a certificate with this name.",
)
wrong_issuer = TlsError.text(
    "{address}",
    "the {peer.name}'s certificate{subject} {signed} {trusted}",
    "Set {peer.ca_options} to the CA that signed it.",
)
not_for_servers = TlsError.text(
    "{address}",
    "the {peer.name}'s certificate{subject} is not made for servers: its extendedKeyUsage lacks serverAuth",
    "Issue a server certificate for the {peer.name}.",
)
bad_certificate = TlsError.text(
    "{address}",
    "the {peer.name}'s certificate{subject} is not valid: {reason}",
    "Look at it with: openssl s_client -showcerts -connect HOST:PORT.",
)
client_wanted = TlsError.text(
    "{address}",
    "the {peer.name} wants a client certificate, and none was given",
    "Set {peer.client_options}.",
)
client_refused = TlsError.text(
    "{address}",
    "the {peer.name} refuses the client certificate {certificate}: {reason}",
    "Use a certificate that {peer.client_ca} signed for clientAuth and that is in date (openssl x509 -noout -text -in"
    " FILE).",
)
plain_http = PlainHttpError.text(
    "{address}",
    "this port speaks plain HTTP, not TLS",
    "{peer.plain_remedy}",
)
tls_wanted = TlsError.text(
    "{address}",
    "this port speaks TLS, not plain HTTP",
    "{peer.tls_remedy}",
)
tls_failed = TlsError.text(
    "{address}", "TLS failed ({reason})", "Check what the port speaks with: openssl s_client -connect HOST:PORT."
)

# --- answers -----------------------------------------------------------------------------------------------------

not_the_peer = BrokenAnswerError.text(
    "{endpoint} at {address}",
    "{cause}",
    "Check that the address is that of a Docker {peer.name} and that no proxy stands between.",
)
too_large = BrokenAnswerError.text(
    "{endpoint} at {address}",
    "the answer is larger than {limit} MiB",
    "Ask for less. The module engine_api with dest writes an engine's answer of any size to a file.",
)
bad_request = AnswerError.text(
    "{endpoint} at {address}",
    "the engine answered with status {status}: {message}",
    "Correct the request; the engine's API reference lists what it takes.",
)
not_allowed = AnswerError.text(
    "{endpoint} at {address}",
    "the engine answered with status {status}: {message}",
    "Ask the one who runs the engine for permission (an authorization plugin or a proxy refuses this).",
)
not_found = AnswerError.text(
    "{endpoint} at {address}",
    "the engine answered with status {status}: {message}",
    "Check the name; names, tags and IDs are those that 'docker ps -a' and 'docker image ls' show.",
)
conflict = AnswerError.text(
    "{endpoint} at {address}",
    "the engine answered with status {status}: {message}",
    "Resolve the conflict that the engine names, then try again.",
)
engine_failed = AnswerError.text(
    "{endpoint} at {address}",
    "the engine answered with status {status}: {message}",
    "Look at the engine's journal (journalctl -u docker) for the reason.",
)
unspoken_version = AnswerError.text(
    "{endpoint} at {address}",
    "{message} (this engine speaks API versions {lowest} to {highest})",
    "Leave api_version out, so that a version is negotiated, or set it to one within this range.",
)
failed_in_stream = AnswerError.text(
    "{endpoint} at {address}",
    "the engine told of an error while it worked: {message}",
    "Look at the engine's journal (journalctl -u docker) for more.",
)

# --- images and containers ---------------------------------------------------------------------------------------

hub_not_reached = AnswerError.text(
    "image search for {term!r} at {address}",
    "the engine could not ask Docker Hub: {message}",
    "The search is done by Docker Hub, so the engine's host needs a way to it (DNS, firewall, proxy).",
)
pull_failed = AnswerError.text(
    "image {image} at {address}",
    "it could not be pulled: {message}",
    "Check the image's name and tag, the registry's user and password, and that the engine's host reaches and trusts"
    " the registry.",
)
unpullable_id = OptionError.text(
    "image {image}", "the engine does not have it, and an ID cannot be pulled", "Name the image by its repository."
)
no_image = EngineError.text(
    "image {image} at {address}",
    "the engine does not have it, and pull is never",
    "Load or build it there, or set pull to missing.",
)
no_image_given = OptionError.text(
    "container {container}", "it does not exist, and image is not set", "Set image, so that it can be created."
)
no_such_id = EngineError.text(
    "container {container}",
    "there is none with this ID, and one cannot be created with it",
    "Use a name, or the ID of a container that exists ('docker ps -a').",
)
# --- registries --------------------------------------------------------------------------------------------------

bad_registry = OptionError.text(
    "option {source}",
    "{address!r} is not the address of a registry",
    "Write HOST or HOST:PORT without a scheme, for example registry.example.com:5000; for plain HTTP set tls to false.",
)
bad_image = OptionError.text(
    "option image",
    "{image!r} is not the name of an image",
    "Write [REGISTRY/]REPOSITORY[:TAG] or [REGISTRY/]REPOSITORY@sha256:DIGEST, the repository in lower case.",
)
plain_password = OptionError.text(
    "option tls",
    "without TLS the password would be sent to {host} unencrypted",
    "Set tls to true, or set allow_insecure to true if nobody else can listen on the way there.",
)
plain_realm = TlsError.text(
    "{address}",
    "the registry sends its clients to a token server without TLS ({realm})",
    "Write https:// in the registry's auth.token.realm: passwords are never sent to such an address.",
)
anonymous_refused = AnswerError.text(
    "{where}",
    "the {server} refuses this without a login: {message}",
    "Set username and password. Many registries answer the same if there is no such repository, or if they never list"
    " their repositories.",
)
login_refused = AnswerError.text(
    "{where}",
    "the {server} refuses the user {user}: {message}",
    "Check username and password, and what this user may read. Many registries answer the same if there is no such"
    " repository.",
)
registry_failed = AnswerError.text(
    "{where}", "the {peer.name} answered with status {status}: {message}", "Look at {peer.log} for the reason."
)
no_catalog = AnswerError.text(
    "{where}",
    "the registry does not list its repositories (status {status}: {message})",
    "Set image, to ask for one repository.",
)

# --- docker contexts ---------------------------------------------------------------------------------------------

bad_context_name = OptionError.text(
    "option name",
    "{name!r} is not a name that a docker context can have",
    "Use letters, digits and any of _.+- after the first character, at least two characters, and not 'default'.",
)
certificates_for_socket = OptionError.text(
    "option cert_path",
    "{address} is a unix socket, which never speaks TLS",
    "Leave out cert_path, or give a TCP address.",
)
unusable_store = OptionError.text(
    "{path}", "it cannot be used ({reason})", "Repair it, or move it away, and run again. Nothing was changed."
)

# --- verification ------------------------------------------------------------------------------------------------

checks_failed = EngineError.text(
    "{addresses}",
    "{failed} of {total} checks failed: {details}",
    "To fix this: {remedies} Then run the check again.",
)

__all__ = (
    "ENGINE",
    "REGISTRY",
    "TOKEN_SERVER",
    "AnswerError",
    "BrokenAnswerError",
    "CutOffError",
    "EngineError",
    "MissingLibraryError",
    "OptionError",
    "Peer",
    "PlainHttpError",
    "TimedOutError",
    "TlsError",
    "UnreachableError",
)
