# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for certificates: what is taken, in which spelling, and what is refused."""

from __future__ import annotations

import contextlib
import ipaddress
import string
from typing import Any

import pytest
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls import (
    keys,
    names,
    profiles,
    signing_request,
)
from ansible_collections.dockerfleet.remote_api.plugins.module_utils._tls.errors import TlsError
from ansible_collections.dockerfleet.remote_api.tests.unit.plugins.module_utils._tls.tools import openssl
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("given_name", "normal"),
    [
        ("web1", "web1"),
        ("WEB1.Example.COM", "web1.example.com"),
        ("web_1.example.com", "web_1.example.com"),
        ("1web.example.com", "1web.example.com"),
        ("a" * 63 + ".example.com", "a" * 63 + ".example.com"),
        ("*.example.com", "*.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::1", "::1"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_normal_spelling(given_name: str, normal: str) -> None:
    assert names.normal_name(given_name) == normal


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "it is empty"),
        (" web1", "white space"),
        ("web1\n", "white space"),
        ("web 1", "the label 'web 1'"),
        ("web1.", "ends with a dot"),
        (".", "ends with a dot"),
        (".example.com", "the label ''"),
        ("web1..example.com", "the label ''"),
        ("-web1", "the label '-web1'"),
        ("web1-.example.com", "the label 'web1-'"),
        ("a" * 64, "the label"),
        (".".join(["a" * 49] * 6), "has 299 characters"),
        ("web1:2376", "the label 'web1:2376'"),
        ("tcp://web1", "the label"),
        ("[::1]", "the label"),
        ("admin@web1", "the label"),
        ("*", "wildcard needs"),
        ("*.com", "wildcard needs"),
        ("web*.example.com", "whole first label"),
        ("a.*.example.com", "whole first label"),
        ("*.*.example.com", "whole first label"),
        ("192.0.2.256", "looks like an IP address"),
        ("192.0.2", "looks like an IP address"),
        ("2376", "looks like an IP address"),
        ("192.0.2.0/24", "the label '0/24'"),
        ("fe80::1%eth0", "zone"),
        ("stra\u00dfe.example", "ASCII form is not certain"),
        ("\u0000", "the label"),
        ("xn--\u00fc.example", "ASCII"),
    ],
)
def test_what_no_certificate_should_carry_is_refused_with_its_cause(name: str, cause: str) -> None:
    with pytest.raises(TlsError) as refused:
        names.normal_name(name)
    assert cause in str(refused.value)
    assert repr(name) in str(refused.value)


def test_each_name_once_in_the_order_given() -> None:
    assert names.normal_names(["B.example", "::1", "a.example", "b.EXAMPLE", "0:0::1"]) == (
        "b.example",
        "::1",
        "a.example",
    )


label = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)


@given(st.lists(label, min_size=1, max_size=5).map(".".join) | st.text(max_size=30))
def test_whatever_is_taken_is_stable_and_can_be_put_in_a_certificate(text: str) -> None:
    normal = ""
    with contextlib.suppress(TlsError):
        normal = names.normal_name(text)
    if not normal:
        return
    assert names.normal_name(normal) == normal
    assert normal.isascii()
    assert normal == normal.lower()
    if names.is_address(normal):
        assert str(ipaddress.ip_address(normal)) == normal
    else:
        assert x509.DNSName(normal).value == normal


@given(st.ip_addresses())
def test_addresses_have_one_spelling(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert names.normal_name(address.exploded) == names.normal_name(str(address)) == str(address)
    assert names.is_address(str(address))


@pytest.mark.parametrize(
    ("have", "name", "covered"),
    [
        (["web1.example.com"], "web1.example.com", True),
        (["*.example.com"], "web1.example.com", True),
        (["*.example.com"], "a.web1.example.com", False),
        (["*.example.com"], "example.com", False),
        (["*.0.2.1"], "192.0.2.1", False),
        (["192.0.2.1"], "192.0.2.1", True),
        ([], "web1", False),
    ],
)
def test_wildcards_stand_for_one_label_of_a_host_name(have: list[str], name: str, covered: bool) -> None:
    assert names.covers(have, name) is covered


def test_the_common_name_is_the_first_that_is_short_enough() -> None:
    assert names.choose_common_name(None, ["a" * 60 + ".example.com", "web1"]) == "web1"
    assert names.choose_common_name("Team A", ["web1"]) == "Team A"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("a" * 65, "65 bytes"),
        ("\u00e4" * 33, "66 bytes"),
        ("a\udc80", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        (None, "none is given"),
    ],
)
def test_bad_common_names_are_refused(name: str | None, cause: str) -> None:
    with pytest.raises(TlsError, match=cause):
        names.choose_common_name(name, [])


def test_names_that_no_certificate_can_carry_are_split_off() -> None:
    given = ["web1", "My Server", "node.01", "web/1", "vm (old)", "WEB1", "192.0.2.1", "a.example.com.", "vm (old)", ""]
    usable, left_out = names.split_names(given)
    assert usable == ("web1", "192.0.2.1")
    assert left_out == ("My Server", "node.01", "web/1", "vm (old)", "a.example.com.", "")


@pytest.mark.parametrize(
    "subject",
    [{"C": "\u00c4\u00d6"}, {"C": "A*"}, {"C": "A"}, {"C": 43}, {"O": "a\udce4"}, {"OU": ["a", ""]}, {"L": "x" * 65}],
)
def test_a_subject_that_no_certificate_can_carry_is_refused(subject: dict[str, Any]) -> None:
    (name,) = subject
    with pytest.raises(TlsError, match=f"^subject: {name} is "):
        profiles.profile("client", "admin", (), "ecdsa_p256", subject)


def test_what_passes_can_be_written_into_a_request() -> None:
    """In other letters than ASCII, too: openssl reads them from the request."""
    name, organization = "\u00e4" * 32, "\u00e4" * 64
    wanted = profiles.profile("client", name, (), "ecdsa_p256", {"C": "AT", "O": organization})
    said = openssl(
        "req", "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus",
        stdin=signing_request.build(keys.generate("ecdsa_p256"), wanted),
    )  # fmt: skip
    assert said == f"subject=C=AT,O={organization},CN={name}\n"
