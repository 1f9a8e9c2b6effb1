#!/usr/bin/python
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module remote_api: the host's half."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remote_api
short_description: Serve Docker's Remote API on a host, with mutual TLS
description:
  - Makes sure of everything that a host's Remote API consists of, namely its key and certificate, the CA certificates
    that it trusts, C(dockerd)'s options, the unit that reads them, C(daemon.json), and a running daemon that has read
    it all.
  - This is one plan and one transaction. Everything is read and checked before anything is written. If the daemon does
    not come up with the change, every file is put back, the certificate included, and the daemon is started as before.
  - If nothing is to be changed, the host pays one round trip. If a certificate is due, the first round trip only
    makes a key that waits beside the present one and answers with a CSR. The controller signs it, and a second round
    trip carries everything out.
  - The CA is made if it is not there, and so are the clients' certificates, in Ansible's own process on the controller.
    Several hosts at once are safe; the CA is made once.
  - The private key is made on the host and never leaves it. The CA's key stays on the controller.
  - Whether a restart is due is seen on the running daemon. Its arguments are compared with the planned ones, and the
    certificate that it presents is compared with the file. CA certificates and keys, which cannot be seen from outside,
    are compared by their time of change with the daemon's start; a time in the future is ignored. So a run that was
    interrupted is finished by the next one.
  - When the module itself is killed in the middle of a change, a second process finishes or undoes it and tells the
    system's log. When the host goes down, the next boot puts the files back before the daemon starts.
options:
  state:
    description:
      - With V(absent), everything that this collection set up on the host is taken back, with one restart. Files that
        nobody changed since are as they were before it, byte for byte. What somebody added to a file stays.
      - What is put back opens no TCP address. One that was there before this collection has to be set up anew.
      - The CA and the clients' certificates on the controller stay.
    type: str
    choices: [present, absent]
    default: present
  keep_certificates:
    description: Whether the host's key and certificates stay with O(state=absent).
    type: bool
    default: false
  tls:
    description:
      - Whether the API is served with mutual TLS. With V(false) it is plain TCP, on loopback addresses only, unless
        O(allow_insecure).
    type: bool
    default: true
  allow_insecure:
    description:
      - Whether plain TCP may listen on other addresses than loopback. Everybody who reaches them is root on the host.
    type: bool
    default: false
  listen:
    description:
      - The TCP addresses to listen on. The local socket always stays.
      - By default V(tcp://0.0.0.0:2376) with O(tls), else V(tcp://127.0.0.1:2375).
    type: list
    elements: str
  names:
    description:
      - More names and IP addresses for the host's certificate.
      - The certificate always has the host's name in the inventory (if it is a DNS name), C(ansible_host), the
        addresses in O(listen), V(localhost) and V(127.0.0.1).
    type: list
    elements: str
    default: []
  directory:
    description: The directory on the host for C(ca.pem), C(server-cert.pem) and C(server-key.pem). Not a relative path.
    type: path
    default: /etc/docker
  ca_path:
    description:
      - The CA's directory on the controller, see M(dockerfleet.remote_api.certificate_authority). A relative path
        begins where Ansible's own relative paths do.
      - Required with O(tls), unless O(ca_certificate) and O(ca_key) are given.
    type: path
  ca_passphrase:
    description: The passphrase of the CA's key. It does not leave the controller.
    type: str
  ca_certificate:
    description: The CA's certificate as PEM text, instead of O(ca_path), for controllers without a disk of their own.
    type: str
  ca_key:
    description:
      - The CA's key as PEM text, encrypted with O(ca_passphrase) or not at all. It does not leave the controller, and
        is written to no disk there.
      - Without O(ca_path) there is no directory for O(clients), so there can be none.
    type: str
  ledger_dir:
    description:
      - A directory on the controller that gets a copy of each certificate issued, called by its serial number.
      - If it is not given, that is C(issued) in O(ca_path), and with O(ca_key) no copies are kept.
    type: path
  certificate:
    description:
      - The signed certificate (PEM) for the host's waiting key. The controller's half sets this for the second round
        trip.
    type: str
  ca_common_name:
    description: The common name of a new CA.
    type: str
    default: Docker Remote API CA
  ca_days:
    description: For how many days a new CA is valid.
    type: int
    default: 3650
  server_certificate:
    description:
      - A key and a certificate of the host that somebody else keeps up to date, such as an ACME client.
        No other is issued. Clients are still verified by our CA, and by no other.
      - The daemon is restarted if it serves another certificate than the one in the file, or the key is newer than it.
      - The certificate must have C(ansible_host), or the name in the inventory without it, and O(names).
    type: dict
    suboptions:
      certificate:
        description: The path of the certificate on the host, followed in the same file by those of intermediate CAs.
        type: path
        required: true
      key:
        description: The path of its private key on the host, in another file.
        type: path
        required: true
      ca:
        description:
          - The path on the controller of the CA certificates to verify it with. A relative path begins where Ansible's
            own relative paths do.
          - Our clients' C(ca.pem) gets them, after our own CA.
        type: str
        required: true
  client_days:
    description: For how many days a client's certificate is valid. By default O(certificate_days).
    type: int
  certificate_days:
    description: For how many days the host's certificate is valid.
    type: int
    default: 365
  renew_before_days:
    description:
      - A certificate with fewer days left is renewed, with the same key.
      - When the daemon has to be restarted for another reason, the host's certificate is renewed along once half of its
        validity period is over. That saves the restart that its renewal would take later.
    type: int
    default: 30
  renew_spread_days:
    description:
      - Renew the host's certificate up to this many days earlier than O(renew_before_days) says, so that a fleet that
        was set up in one hour is not restarted in one hour. How many days depends on the host's name in the inventory.
      - The sum of both has to be less than O(certificate_days).
    type: int
    default: 0
  key_type:
    description: The type of the host's key.
    type: str
    choices: [ecdsa_p256, ecdsa_p384, ed25519, rsa_2048, rsa_3072, rsa_4096]
    default: ecdsa_p256
  daemon_options:
    description:
      - More options of C(dockerd) by their long names, as in M(dockerfleet.remote_api.daemon_options). Options that are
        there already and are not named stay as they are.
    type: dict
    default: {}
  options_file:
    description:
      - The options file, not a relative path. By default the one that the unit reads, or else C(/etc/default/docker).
    type: path
  options_variable:
    description: The variable in the options file. By default the one that the unit reads, or else C(DOCKER_OPTS).
    type: str
  unit_wiring:
    description: What to do if the systemd unit does not yet read the options file.
    type: str
    choices:
      drop_in: Write a drop-in that is derived from the unit as it is, so that the package's own flags are kept.
      edit: Change the unit file itself, as one does by hand. The next upgrade of the package may undo it.
      none: Do not touch the unit, and fail if it does not read the options.
    default: drop_in
  on_conflict:
    description: What to do with a key that is also set in C(daemon.json). With such a key C(dockerd) does not start.
    type: str
    choices:
      fail: Fail before anything is changed, and name all of them.
      move: Take the key out of C(daemon.json), and keep a backup beside it.
    default: fail
  on_unread_options:
    description:
      - What to do with options in the options file that the unit has never read, so that the daemon would take them now
        for the first time. The packages of Docker Inc., for example, ignore C(/etc/default/docker), and an old
        C(--data-root) there would make all containers disappear.
      - Options which are requested with the same value, or taken away, need no decision.
    type: str
    choices:
      fail: Fail before anything is changed, and show them.
      adopt: Keep them; the daemon takes them from now on. What is requested counts for more.
      discard: Take all of them out of the file, and keep a backup beside it.
    default: fail
  on_foreign_authority:
    description:
      - What to do with a host that already trusts a CA that is not ours. That is one in the file that the daemon's
        C(tlscacert) names, if it verifies clients, or else in C(ca.pem) in O(directory), whose key is not that of a
        certificate of our CA.
      - If the daemon uses another file, such a CA in C(ca.pem) in O(directory) is refused, too, but for V(replace).
      - A wrong O(ca_path) looks like that, too. So look at the fingerprints in the message first.
    type: str
    choices:
      fail: Fail before anything is changed, and name both.
      trust: >-
        Add ours and keep the other one. The host goes on serving the certificate that the other CA issued until that
        one ends, since the other CA's clients would accept no other. Our clients come to trust the other CA for this.
        The controller remembers it in C(foreign/HOST.pem) in O(ca_path), so later runs need not be told.
      replace: Trust ours alone. The other CA's clients are refused from then on.
    default: fail
  foreign_certificates:
    description:
      - Certificates of CAs (PEM) that the host is to trust besides ours. The controller's half sets this.
    type: str
  retired_certificates:
    description:
      - Certificates of CAs of ours (PEM) that were replaced. A host that trusts one is moved to the present one. The
        controller's half sets this.
    type: str
  required_names:
    description:
      - The names that a certificate must have that is not of our CA. The controller's half sets this.
    type: list
    elements: str
    default: []
  live_restore:
    description:
      - Whether containers keep running while the daemon is stopped, including during the restart that enables it. By
        default this is left as it is. It is kept in C(daemon.json). Not possible on hosts that are in a swarm.
    type: bool
  restart:
    description:
      - Whether to restart the daemon if a restart is due. With V(false) everything is prepared, see RV(restart_due).
      - A service that was stopped on purpose stays so. All is prepared, and a warning says so. A service that has
        failed, or that its socket unit is about to start, was not stopped on purpose.
    type: bool
    default: true
  timeout:
    description:
      - How many seconds the daemon may take to answer after a restart, or to end a start that is under way already.
    type: int
    default: 300
  install_dependencies:
    description: Whether to install C(python3-cryptography) on a host that lacks it.
    type: bool
    default: true
  plan_only:
    description:
      - Whether to change nothing on the host and only find out what is due there, as in check mode. RV(due) tells, and
        V(changed) is about the CA and the clients on the controller. A CA that is not there is not made.
    type: bool
    default: false
  verify_from:
    description:
      - From where to prove, at the end, that the API is open to its clients and closed to all others, see
        M(dockerfleet.remote_api.verify). V(host) costs one more round trip. It is left out while a restart is due.
    type: str
    choices: [controller, host, none]
    default: none
extends_documentation_fragment:
  - dockerfleet.remote_api._attributes
  - dockerfleet.remote_api._clients
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows facts about the certificate, the options and the unit's command. Never keys or passphrases.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux with systemd
seealso:
  - module: dockerfleet.remote_api.certificate_authority
  - module: dockerfleet.remote_api.certificate
  - module: dockerfleet.remote_api.daemon_options
  - module: dockerfleet.remote_api.verify
author:
  - The dockerfleet maintainers (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Serve the API with mutual TLS
  dockerfleet.remote_api.remote_api:
    ca_path: "{{ inventory_dir }}/.docker_remote_api"
    ca_passphrase: "{{ vault_docker_ca_passphrase }}"
    names: [docker.example.com]
  become: true

- name: Serve it on the host itself without TLS, and set name servers
  dockerfleet.remote_api.remote_api:
    tls: false
    daemon_options:
      dns: [8.8.8.8, 8.8.4.4]
  become: true
"""

RETURN = r"""
settled:
  description:
    - Whether the host is as it is asked for by now. It is not if something was found to be due and left undone, as in
      check mode and with O(plan_only), or if a restart is still due.
  returned: success
  type: bool
  sample: true
due:
  description:
    - Whether anything had to be changed on the host. In check mode and with O(plan_only), whether anything would be.
  returned: success
  type: bool
  sample: true
clients:
  description: The result of each client, as M(dockerfleet.remote_api.certificate_authority) returns it.
  returned: success and O(tls=true)
  type: list
  elements: dict
  sample: [{"name": "admin", "issued": false, "reasons": [], "not_after": "2027-11-24T10:00:00Z"}]
deliveries:
  description:
    - What is left to be done for clients that have a O(clients[].host) or a O(clients[].context), by tasks that run on
      those machines. P(dockerfleet.remote_api.docker_remote_api#role) does it.
  returned: success and O(tls=true)
  type: list
  elements: dict
  contains:
    name:
      description: The client's name.
      type: str
    host:
      description: The client's machine, V(none) for the controller.
      type: str
    directory:
      description: The directory of its files there.
      type: str
    owner:
      description: To whom they belong.
      type: str
    group:
      description: Their group.
      type: str
    subject:
      description: What stands before the common name in the subject.
      type: dict
    key_type:
      description: The type of its key.
      type: str
    days:
      description: For how many days its certificate is issued.
      type: int
    hours:
      description: Or for how many hours.
      type: int
    renew_before_days:
      description: With how many days left it is issued again.
      type: int
    context:
      description: The context's C(name) and C(docker_host), V(none) if none is to be written.
      type: dict
    ca:
      description: The CA's directory on the controller, or its certificate (PEM) if it is given as text.
      type: str
checks:
  description: What was verified at the end, see M(dockerfleet.remote_api.verify).
  returned: O(verify_from) is not V(none) and nothing is due any more
  type: list
  elements: dict
  sample: [{"name": "answers", "ok": true, "detail": ""}]
issued:
  description: Whether a new certificate was put in place (in check mode, would be).
  returned: success and O(tls=true)
  type: bool
  sample: true
reasons:
  description: Why a certificate was issued. Empty if the one that is there is fine.
  returned: success and O(tls=true)
  type: list
  elements: str
  sample: ["the certificate is missing"]
not_after:
  description: Until when the certificate is valid (ISO 8601, UTC).
  returned: success and O(tls=true)
  type: str
  sample: "2027-11-24T10:00:00Z"
serial:
  description: The certificate's serial number in hexadecimal, as C(openssl x509 -serial) prints it.
  returned: success and O(tls=true)
  type: str
  sample: "4C6E0D..."
names:
  description: The names in the certificate.
  returned: success and O(tls=true)
  type: list
  elements: str
  sample: [web1.example.com, localhost, 127.0.0.1]
fingerprint_sha256:
  description: The certificate's fingerprint.
  returned: success and O(tls=true)
  type: str
  sample: "0D:7C:1B:..."
managed:
  description: Whether the host serves a certificate that this module looks after. If not, somebody else does.
  returned: success and O(tls=true)
  type: bool
  sample: true
foreign_certificates:
  description: The certificates (PEM) of the CAs that the host trusts besides ours. Empty if there are none.
  returned: success and O(tls=true)
  type: str
  sample: ""
foreign_authority:
  description: Whether it failed because the host trusts a CA that is not ours. Nothing was changed.
  returned: failure, because of that CA
  type: bool
  sample: true
missing_library:
  description: The Python library that has to be installed on the host first. Nothing was changed.
  returned: failure, because of a library that is missing or too old
  type: str
  sample: cryptography
options:
  description: The options in the variable, word by word.
  returned: success
  type: list
  elements: str
  sample: ["--host=tcp://0.0.0.0:2376", "--tlsverify"]
argv:
  description: The daemon's whole command line, as systemd builds it from the unit and the options.
  returned: success
  type: list
  elements: str
  sample: ["/usr/bin/dockerd", "-H", "fd://", "--host=tcp://0.0.0.0:2376", "--tlsverify"]
options_file:
  description: The file in which the options are kept.
  returned: success
  type: str
  sample: /etc/default/docker
variable:
  description: The variable in which they are kept.
  returned: success
  type: str
  sample: DOCKER_OPTS
restarted:
  description: Whether the daemon was restarted, or would be in check mode.
  returned: success
  type: bool
  sample: true
restart_due:
  description: Whether a restart is still due, since O(restart=false) or the service was stopped on purpose.
  returned: success
  type: bool
  sample: false
restart_reasons:
  description: Why the daemon was restarted or has to be.
  returned: success
  type: list
  elements: str
  sample: ["it runs with other arguments"]
containers_stopped:
  description: How many running containers the restart stopped, or would stop.
  returned: success
  type: int
  sample: 0
conflicts:
  description: The keys that were taken out of C(daemon.json), or would be.
  returned: success
  type: list
  elements: dict
  sample: [{"key": "dns", "option": "dns", "from_flag": "8.8.8.8", "from_file": "[\"8.8.8.8\"]"}]
undone:
  description: The files that an interrupted earlier run had changed and that were put back first.
  returned: success
  type: list
  elements: str
  sample: []
rolled_back:
  description: Whether a change was tried, did not work and was undone, so that files and daemon are as before.
  returned: always
  type: bool
  sample: false
"""

import os
import sys
import typing as t
from dataclasses import asdict
from datetime import datetime, timedelta, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dockerfleet.remote_api.plugins.module_utils import _remote_api, _remote_api_options
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.errors import RolledBackError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._daemon.session import Mode
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._systemd import runner
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.errors import (
    ForeignAuthorityError,
    MissingLibraryError,
)

if t.TYPE_CHECKING:
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import adoption, deployment


def terms(options: dict[str, t.Any]) -> adoption.Terms:
    """Return what may happen to CAs that are not ours."""
    # A host without TLS needs no library for certificates.
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import adoption, names

    required = names.normal_names(options["required_names"])
    known, retired = (options[name] or "" for name in ("foreign_certificates", "retired_certificates"))
    return adoption.Terms(options["on_foreign_authority"], known, required, retired)


def certificate_spec(options: dict[str, t.Any]) -> deployment.CertificateSpec:
    """Return what is requested of the host's certificate. Raises RemoteApiError."""
    # A host without TLS needs no library for certificates.
    from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
        deployment,
        library,
        profiles,
        store,
    )

    library.require(sys.executable)
    names = ("server-key.pem", "server-cert.pem", "ca.pem")
    key, certificate, ca = (os.path.join(options["directory"], name) for name in names)
    theirs = options["server_certificate"]
    if theirs:
        key, certificate = theirs["key"], theirs["certificate"]
    return deployment.CertificateSpec(
        profile=profiles.profile("server", None, options["names"], options["key_type"]),
        paths=store.CertificatePaths(key, certificate, ca),
        access=store.access(None, None, "0400"),
        ca_certificate=options["ca_certificate"],
        certificate=options["certificate"],
        exact=True,
        rekey=False,
        renew_before=timedelta(days=options["renew_before_days"]),
        # A certificate that was requested because of its half-life must not be taken for one that is not needed.
        at_half_life=options["certificate"] is not None,
        managed=not theirs,
    )


def result_of(outcome: _remote_api.Outcome) -> dict[str, t.Any]:
    """Return the module's result: with a CSR while a certificate is due, else with all that was done."""
    plan, certificate, daemon = outcome.plan, outcome.certificate, outcome.daemon
    result: dict[str, t.Any] = {
        "changed": False,
        "options": list(plan.words),
        "argv": list(plan.argv),
        "options_file": plan.options_path,
        "variable": plan.variable,
        "restart_reasons": list(plan.restart_reasons),
        "conflicts": [asdict(item) for item in plan.conflicts],
        "rolled_back": False,
        "diff": [
            {"before_header": item.path, "after_header": item.path, "before": item.shown[0], "after": item.shown[1]}
            for item in plan.changes
            if item.shown[0] != item.shown[1]
        ],
    }
    if certificate is not None:
        result.update(certificate.certificate)
        result.update({"issued": certificate.issued, "reasons": certificate.reasons, "csr": certificate.csr})
        result["managed"] = certificate.spec.managed
        result["foreign_certificates"] = outcome.adoption.trusted_pem if outcome.adoption else ""
    if daemon is not None:
        result.update(
            changed=daemon.changed or (certificate is not None and certificate.changed),
            restarted=daemon.restarted,
            restart_due=daemon.restart_due,
            containers_stopped=daemon.containers_stopped,
            undone=list(daemon.undone),
        )
    return result


def main() -> None:
    """Run the host's half of the module."""
    module = AnsibleModule(
        argument_spec=_remote_api_options.ARGUMENT_SPEC, supports_check_mode=True, **_remote_api_options.RULES
    )
    params = module.params
    check = module.check_mode or params["plan_only"]
    mode = Mode(check, "when_needed" if params["restart"] else "never", float(params["timeout"]))
    try:
        daemon = _remote_api.daemon_request(params)
        secured = _remote_api_options.needs_certificate(params)
        wanted = (certificate_spec(params), terms(params)) if secured else (None, None)
        request = _remote_api.Request(daemon, *wanted)
        outcome = _remote_api.configure(request, mode, runner(module.run_command), datetime.now(timezone.utc))
    except MissingLibraryError as exc:
        module.fail_json(msg=str(exc), missing_library="cryptography", rolled_back=False)
    except ForeignAuthorityError as exc:
        module.fail_json(msg=str(exc), foreign_authority=True, rolled_back=False)
    except RemoteApiError as exc:
        module.fail_json(msg=str(exc), rolled_back=isinstance(exc, RolledBackError))
    for part in (outcome.adoption, outcome.certificate, outcome.daemon):
        for warning in part.warnings if part else ():
            module.warn(warning)
    result = result_of(outcome)
    due = result["changed"]
    if params["plan_only"] and not module.check_mode:
        result["changed"] = False
        result.pop("diff")
    module.exit_json(**result, due=due)


if __name__ == "__main__":
    main()
