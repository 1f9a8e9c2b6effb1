# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand in for the engines of many hosts: HTTPS on every loopback address, for clients of one CA.

It answers what a check of an engine asks. Each address gets a server certificate of its own, signed by the CA.
Usage: python3 benchmarks/responder.py CA_DIRECTORY PORT, with the passphrase of the CA's key in CA_PASSPHRASE.
It prints "ready" once it listens, and serves until it is killed.
"""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import ssl
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VERSION = {"Version": "28.5.2", "ApiVersion": "1.51", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
INFO = {"ID": "simulated", "Name": "simulated", "ServerVersion": VERSION["Version"], "Containers": 0, "Warnings": None}
ANSWERS = {"/_ping": b"OK", "/version": json.dumps(VERSION).encode(), "/info": json.dumps(INFO).encode()}
TLS_HANDSHAKE = b"\x16"  # the first byte of each TLS connection (RFC 8446, 5.1)
PLAIN_HTTP = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Certificates:
    """TLS contexts by address. Each is made when its address is first called."""

    def __init__(self, directory: Path, passphrase: str) -> None:
        self._ca_file = directory / "ca.pem"
        self._ca = x509.load_pem_x509_certificates(self._ca_file.read_bytes())[0]
        ca_key = serialization.load_pem_private_key((directory / "ca-key.pem").read_bytes(), passphrase.encode())
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise TypeError("the CA's key must be an elliptic curve key")
        self._ca_key = ca_key
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, address: str) -> ssl.SSLContext:
        """Return the context for an IP address. It requires a client certificate, as dockerd --tlsverify does."""
        with self._lock:
            if address not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self._ca_file)
                with tempfile.NamedTemporaryFile() as file:
                    file.write(self._issue(address))
                    file.flush()
                    context.load_cert_chain(file.name)
                self._contexts[address] = context
            return self._contexts[address]

    def _issue(self, address: str) -> bytes:
        """Return the PEM text of a key and a server certificate for an IP address."""
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)]))
            .issuer_name(self._ca.subject)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, hashes.SHA256())
        )
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + certificate.public_bytes(serialization.Encoding.PEM)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer from ANSWERS, with or without the API version in front of the path."""
        path = self.path if self.path in ANSWERS else "/" + self.path.partition("/")[2].partition("/")[2]
        body = ANSWERS.get(path, b'{"message":"page not found"}')
        self.send_response(200 if path in ANSWERS else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Api-Version", VERSION["ApiVersion"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def setup(self) -> None:
        """Do the TLS handshake; raise OSError (ssl.SSLError among them) when the client is refused."""
        self.request.settimeout(30)
        self.request = self.server.certificates.context(self.request.getsockname()[0]).wrap_socket(
            self.request, server_side=True
        )
        super().setup()

    def log_message(self, *args: object, **more: object) -> None:
        """Log nothing."""


class Server(socketserver.ThreadingTCPServer):
    """Listens on all loopback addresses, and on no other interface."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, certificates: Certificates) -> None:
        self.certificates = certificates
        super().__init__(("", port), Handler, bind_and_activate=False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        self.server_bind()
        self.server_activate()

    def verify_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> bool:
        """Return whether the client speaks TLS; tell one that does not, as Go's server does."""
        if not isinstance(request, socket.socket):
            return False
        request.settimeout(30)
        if request.recv(1, socket.MSG_PEEK) == TLS_HANDSHAKE:
            return True
        request.sendall(PLAIN_HTTP)
        return False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that was refused or went away; anything else is an error of this program."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


def main() -> None:
    """Serve until killed."""
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    with Server(port, Certificates(directory, os.environ["CA_PASSPHRASE"])) as server:
        print("ready", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
