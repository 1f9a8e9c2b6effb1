# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab: up, down, reset, list, inventory, make, enter, exec."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from . import errors, hosts, machine, suites, variants

HOSTS_FILE = Path(__file__).resolve().parent.parent / "hosts.toml"


def listed_hosts() -> dict[str, str]:
    """Return the kind (SUITE/VARIANT) of every host in hosts.toml, by name."""
    with HOSTS_FILE.open("rb") as file:
        listed: dict[str, str] = tomllib.load(file)["hosts"]
    return listed


def is_name(word: str) -> bool:
    """Return whether a word can name a host. It becomes part of paths, some of which are removed later."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", word) is not None


def check_names(words: Iterable[str]) -> None:
    """Raise for the first word that cannot name a host."""
    for word in words:
        if not is_name(word):
            raise errors.bad_name(word)


def parse_hosts(words: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return name -> (suite, variant) for words such as NAME and NAME=SUITE/VARIANT; for no words, what is listed.

    The kind of a bare name is that of the host of that name that is in the lab now, else it comes from hosts.toml.
    """
    listed = listed_hosts()
    known = listed | {host.name: host.kind for host in hosts.all_hosts().values()}
    chosen = {}
    for word in words or listed:
        name, kind = word.partition("=")[::2]
        if not kind and name not in known:
            raise errors.unknown_host(name, list(listed))
        suite, variant = (kind or known[name]).partition("/")[::2]
        if not is_name(name) or suite not in suites.SUITES or variant not in variants.VARIANTS:
            raise errors.bad_host(word, list(suites.SUITES), list(variants.VARIANTS))
        chosen[name] = (suite, variant)
    return chosen


def in_parallel(work: Callable[[str], object], names: Iterable[str]) -> bool:
    """Do the work for every name, a few at a time; return whether all went well, after printing what did not."""
    fine = True
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for done in as_completed([pool.submit(work, name) for name in names]):
            try:
                done.result()
            except errors.LabError as error:
                print(f"lab: {error}", file=sys.stderr, flush=True)
                fine = False
    return fine


def boot(chosen: dict[str, tuple[str, str]]) -> int:
    """Boot the hosts (name -> suite and variant) that do not run yet; return the exit code."""
    machine.require(*hosts.PROGRAMS)
    hosts.sweep()
    roots: dict[str, Path] = {}

    def make_root(suite: str) -> None:
        roots[suite] = suites.make_root(suite)

    def up(name: str) -> None:
        suite, variant = chosen[name]
        if suite not in roots:
            return
        started = time.monotonic()
        host = hosts.up(name, suite, variant, roots[suite])
        print(f"{name}: {host.kind} at {host.address}, ready in {time.monotonic() - started:.1f} s", flush=True)

    made = in_parallel(make_root, sorted({suite for suite, variant in chosen.values()}))
    booted = in_parallel(up, chosen)
    suites.prune(hosts.roots_in_use)
    return 0 if made and booted else 1


def command_make(options: argparse.Namespace) -> int:
    """Make the root file systems that are missing, of the named suites or of all; no host is booted."""
    for suite in options.suites:
        if suite not in suites.SUITES:
            raise errors.unknown_suite(suite, list(suites.SUITES))
    return 0 if in_parallel(suites.make_root, options.suites or suites.SUITES) else 1


def command_up(options: argparse.Namespace) -> int:
    """Boot the named hosts, or all that are listed."""
    return boot(parse_hosts(options.hosts))


def command_down(options: argparse.Namespace) -> int:
    """Take down the named hosts, or everything there is of the lab."""
    check_names(options.hosts)
    fine = in_parallel(hosts.down, options.hosts or hosts.all_hosts())
    hosts.sweep()
    return 0 if fine else 1


def command_reset(options: argparse.Namespace) -> int:
    """Take the named hosts down and boot them anew."""
    chosen = parse_hosts(options.hosts)
    return 0 if in_parallel(hosts.down, chosen) and boot(chosen) == 0 else 1


def command_list(options: argparse.Namespace) -> int:
    """Print the hosts, then the suites and the variants."""
    del options
    there = hosts.all_hosts()
    for name, kind in (listed_hosts() | {host.name: host.kind for host in there.values()}).items():
        state = f"up    {there[name].address}" if name in there and hosts.is_up(there[name]) else "down"
        print(f"{name:24} {kind:24} {state}")
    print()
    for name, suite in suites.SUITES.items():
        made = "made" if suites.root_path(name).exists() else "not made yet"
        print(f"suite   {name:16} engine {suite.engine}, {made}")
    for name, variant in variants.VARIANTS.items():
        print(f"variant {name:16} {variant.says}")
    return 0


def command_inventory(options: argparse.Namespace) -> int:
    """Print an Ansible inventory of the named hosts, or of all that are up."""
    there = {name: host for name, host in hosts.all_hosts().items() if hosts.is_up(host)}
    for name in options.hosts or ["(any)"]:
        if not there or (options.hosts and name not in there):
            raise errors.not_running(name)
    print(json.dumps(hosts.inventory([there[name] for name in options.hosts or there]), indent=2))
    return 0


def command_enter(options: argparse.Namespace) -> int:
    """Print, as a JSON list, what runs a command on the host when it stands before it; it holds until a reboot."""
    check_names([options.host])
    print(json.dumps(hosts.enter(options.host)))
    return 0


def command_exec(options: argparse.Namespace) -> int:
    """Become the command, run on the host: its exit code and its streams are the caller's."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    check_names([options.host])
    line = hosts.enter(options.host, *(command or ["bash", "--login"]))
    os.execvp(line[0], line)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="lab", description="Real Docker hosts (systemd, sshd, engine) on this machine.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, work: Callable[[argparse.Namespace], int], arguments: str, says: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=says, description=says)
        command.set_defaults(work=work)
        if arguments:
            command.add_argument("hosts", nargs=arguments, metavar="NAME[=SUITE/VARIANT]", help="default: all")
        return command

    add("up", command_up, "*", "boot hosts; those that run already are left alone")
    add("down", command_down, "*", "take hosts down and leave nothing of them")
    add("reset", command_reset, "+", "take hosts down and boot them anew")
    add("list", command_list, "", "show hosts, suites and variants")
    add("inventory", command_inventory, "*", "print an Ansible inventory of the hosts that are up")
    make = add("make", command_make, "", "make the root file systems of suites, for later")
    make.add_argument("suites", nargs="*", metavar="SUITE", help="default: all")
    enter = add("enter", command_enter, "", "print the command line that runs commands on a host")
    enter.add_argument("host", metavar="NAME")
    run = add("exec", command_exec, "", "run a command on a host; without one, a shell")
    run.add_argument("host", metavar="NAME")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    return top


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name; return the exit code."""
    options = parser().parse_args(arguments)
    os.umask(0o022)  # with a stricter one, a host's own users could not get into its root directory
    try:
        machine.require_root()
        code: int = options.work(options)
    except errors.LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return code
