# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about the daemon's options, its unit and its service, in one place."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class DaemonError(RemoteApiError):
    """The daemon cannot be configured as asked, or did not take its new configuration."""


def no_systemd() -> DaemonError:
    """Return the error for a host whose init is something else (sd_booted(3))."""
    return DaemonError(
        "systemd",
        "it does not run this host (there is no /run/systemd/system)",
        "The Docker service can be managed only on hosts that systemd booted: take this host out of the play.",
    )


def no_service(service: str) -> DaemonError:
    """Return the error for a host where systemd does not know the unit."""
    return DaemonError(
        service,
        "systemd knows no such unit on this host",
        "Install Docker Engine first (docker.io or docker-ce), or name the service under which it runs.",
    )


def masked_service(service: str) -> DaemonError:
    """Return the error for a unit that systemd is told not to start."""
    return DaemonError(
        service, "the unit is masked, so that it cannot be started", f"Run 'systemctl unmask {service}' and run again."
    )


def command_too_slow(argv: t.Sequence[str], timeout: float) -> DaemonError:
    """Return the error for a command that did not end within ``timeout`` seconds."""
    return DaemonError(
        " ".join(argv),
        f"it did not end within {timeout:.0f} seconds",
        "Run it by hand on the host to see what it waits for, then run again.",
    )


def command_not_run(argv: t.Sequence[str], said: str) -> DaemonError:
    """Return the error for a program that the operating system would not start."""
    return DaemonError(
        argv[0],
        f"it cannot be run ({said})",
        "Install it, or run as root, for example with 'become: true'.",
    )


def systemctl_failed(words: str, said: str) -> DaemonError:
    """Return the error for a systemctl command that failed, with what it said."""
    return DaemonError(
        f"systemctl {words}",
        f"it failed: {said or 'no reason given'}",
        "Run it by hand on the host to see why, then run again.",
    )


# The command line


def stray_argument(where: str, word: str) -> DaemonError:
    """Return the error for a word on dockerd's command line that is no option."""
    return DaemonError(
        where,
        f"the word '{word}' is no option, and dockerd takes no arguments",
        "Remove it there, or quote it as a part of its option.",
    )


def option_without_value(where: str, word: str) -> DaemonError:
    """Return the error for an option at the end of the command line that lacks its value."""
    return DaemonError(where, f"the option '{word}' lacks its value", "Give it one, as in --name=value, or remove it.")


def bad_option_name(name: str) -> DaemonError:
    """Return the error for a key of ``options`` that cannot be the long name of an option."""
    return DaemonError(
        f"options, {name}",
        "it is not the long name of a dockerd option",
        "Use the name that 'dockerd --help' prints, without dashes before it, such as host, dns or log-level.",
    )


def bad_option_value(name: str, value: object) -> DaemonError:
    """Return the error for a value that is not plain."""
    return DaemonError(
        f"options, {name}",
        f"a value of type {type(value).__name__}, or an empty one, cannot stand on a command line",
        "Give text, a number, true or false, or a list or mapping of them; 'remove' takes options away.",
    )


def option_without_items(name: str) -> DaemonError:
    """Return the error for an empty list or mapping."""
    return DaemonError(
        f"options, {name}", "the list is empty", "Give it an item, or name the option in 'remove' to take it away."
    )


def not_an_address(name: str, value: str) -> DaemonError:
    """Return the error for something that should be an IP address."""
    return DaemonError(f"options, {name}", f"'{value}' is not an IP address", "Write it as in 8.8.8.8 or 2001:db8::1.")


def word_not_safe(word: str) -> DaemonError:
    """Return the error for an option that an options file cannot hold."""
    return DaemonError(
        f"options, {word}",
        "it has blanks, quotes, a backslash, '$', '#' or a pattern in it, which systemd and a shell read differently",
        "Set this option in daemon.json instead.",
    )


_ADDRESS = "Write address and port, as in tcp://0.0.0.0:2376 or tcp://[::1]:2376."


def unknown_scheme(value: str) -> DaemonError:
    """Return the error for a listen address of a kind that dockerd does not know."""
    return DaemonError(
        f"options, host, {value}", "dockerd listens on tcp://, unix:// and fd:// addresses only", _ADDRESS
    )


def no_address_and_port(value: str) -> DaemonError:
    """Return the error for a listen address of which a part is missing or in excess."""
    return DaemonError(f"options, host, {value}", "it is not ADDRESS:PORT", _ADDRESS)


def port_out_of_range(value: str) -> DaemonError:
    """Return the error for a port that cannot be."""
    return DaemonError(f"options, host, {value}", "its port is not between 1 and 65535", _ADDRESS)


# The options file


_WHY = (
    (r"\s*(export|declare|readonly|local)\s", "systemd ignores a line that begins with a shell keyword like 'export'"),
    (r"[^=]*\+=", "systemd does not know '+='"),
    (r".*\r", "the line ends in a carriage return (DOS line ends), which a shell takes for a part of the value"),
    (r".*[$`]", "systemd does not expand '$' and backticks, a shell does"),
    (
        r"\s*[A-Za-z_0-9]+\s*=\s*(\"[^\"]*\"|'[^']*'|\S*)\s+#",
        "systemd takes a comment after the value for a part of it",
    ),
    (r"\s*[A-Za-z_0-9]+(\s+=|=[ \t]+\S)", "a shell allows no blank around '='"),
    (r".*[;&|<>]", "systemd does not know ';', '&', '|' and redirections, a shell does"),
    (r"\s*[A-Za-z_0-9]+=[^\"']", "a value with blanks in it and without quotes round it is a command to a shell"),
    (r"\s*[A-Za-z_0-9]+=.*[\"']\s+[\"']", "systemd joins quoted parts with a blank in between, a shell does not"),
    (r".*\\", "systemd and a shell treat the backslash differently"),
    (r"\s*[A-Za-z_0-9]+=", "to a shell it is a part of something larger (such as 'if' or '&&' before it)"),
)


def _why_differently(line: str) -> str:
    """Return in plain words why systemd and a shell read the line differently."""
    for pattern, why in _WHY:
        if re.match(pattern, line):
            return why
    return "systemd and a shell do not read the same from it"


_ONE_LINE = 'Write it on one line of its own as NAME="--option=value --option=value", then run again.'


def read_differently(path: str, line: int, text: str) -> DaemonError:
    """Return the error for a line that systemd and a shell do not read alike."""
    return DaemonError(f"{path}:{line}", _why_differently(text), _ONE_LINE)


def odd_word(path: str, line: int, word: str) -> DaemonError:
    """Return the error for a word that the two readers take for different words."""
    return DaemonError(
        f"{path}:{line}",
        f"the word {word} has a quote, backslash, '$', backtick or pattern in it, which systemd and a shell treat "
        "differently",
        _ONE_LINE,
    )


def control_characters(path: str, line: int) -> DaemonError:
    """Return the error for a value with control characters, such as a carriage return."""
    return DaemonError(
        f"{path}:{line}", "its value has control characters in it, which they treat differently", _ONE_LINE
    )


def semicolon_comment(path: str, line: int) -> DaemonError:
    """Return the error for a comment that only systemd takes for one."""
    return DaemonError(
        f"{path}:{line}",
        "systemd takes a line that begins with ';' for a comment, a shell for a mistake",
        "Begin the comment with '#', then run again.",
    )


def here_document(path: str, line: int) -> DaemonError:
    """Return the error for a here-document."""
    return DaemonError(
        f"{path}:{line}",
        "systemd knows no here-document ('<<'), a shell does",
        "Take it out of the file, then run again.",
    )


def shell_stops(path: str, line: int, word: str) -> DaemonError:
    """Return the error for a command with which a shell stops reading the file, and systemd does not."""
    return DaemonError(
        f"{path}:{line}",
        f"a shell stops reading at '{word}' here, systemd does not",
        "Take the command out of the file, then run again.",
    )


def open_quote(path: str, line: int, quote: str) -> DaemonError:
    """Return the error for a quote that is not closed."""
    return DaemonError(
        f"{path}:{line}",
        f"the quote {quote} that opens here is not closed, so that the rest of the file is taken for the value",
        "Close it, then run again.",
    )


def byte_order_mark(path: str) -> DaemonError:
    """Return the error for a file that begins with a byte order mark."""
    return DaemonError(
        f"{path}:1",
        "the file begins with a byte order mark, which makes its first line unreadable to systemd and to a shell",
        "Save it as UTF-8 without one, then run again.",
    )


def comment_with_backslash(path: str, line: int) -> DaemonError:
    """Return the error for a comment that swallows the assignment after it."""
    return DaemonError(
        f"{path}:{line}",
        "the comment ends in a backslash, with which systemd before version 254 swallows the next line",
        "Remove the backslash, then run again.",
    )


def not_text(path: str, line: int) -> DaemonError:
    """Return the error for bytes with which systemd refuses a whole file."""
    return DaemonError(
        f"{path}:{line}",
        "there are bytes in it that are not UTF-8, so that systemd does not read the file at all",
        "Save the file as UTF-8, then run again.",
    )


def line_goes_on(path: str, line: int, variable: str) -> DaemonError:
    """Return the error for a file whose last line would swallow a line that is added."""
    return DaemonError(
        f"{path}:{line}",
        f"the last line goes on beyond its end (a backslash or an open quote), so that {variable} cannot be added",
        "End it properly, then run again.",
    )


# The unit


def not_one_command(unit: str, places: t.Sequence[str]) -> DaemonError:
    """Return the error for a unit with no command or with several."""
    found = "it has no ExecStart=" if not places else f"it has more than one ExecStart= ({', '.join(places)})"
    return DaemonError(
        unit,
        found,
        "Leave exactly one; a drop-in that sets it anew needs a line 'ExecStart=' with nothing after it before.",
    )


def command_prefix(where: str, prefix: str) -> DaemonError:
    """Return the error for a special prefix of the command that changes how its words are read."""
    return DaemonError(
        where,
        f"ExecStart= begins with '{prefix}', with which options from a variable cannot be passed on",
        "Remove the prefix.",
    )


def not_dockerd(where: str, program: str) -> DaemonError:
    """Return the error for a unit that starts something other than dockerd."""
    return DaemonError(
        where,
        f"ExecStart= runs {program}, not dockerd, so that nobody can tell whether it passes options on",
        "Let the unit call dockerd itself, or set the options in daemon.json.",
    )


def unknown_specifier(where: str, specifier: str) -> DaemonError:
    """Return the error for a specifier of systemd whose value is not known here."""
    return DaemonError(
        where,
        f"ExecStart= has the specifier {specifier}, whose value cannot be told beforehand",
        "Write its value in its place.",
    )


def environment_file_missing(path: str, unit: str) -> DaemonError:
    """Return the error for an environment file without which systemd does not start the unit."""
    return DaemonError(
        path,
        f"{unit} demands this EnvironmentFile=, and it is not there",
        "Create it, or put a '-' before its path in the unit.",
    )


def not_wired(path: str, variable: str, options_path: str) -> DaemonError:
    """Return the error for a unit that does not read the options and that must not be changed."""
    return DaemonError(
        path,
        f"the unit does not read {variable} from {options_path}, and unit_wiring is 'none'",
        f"Add EnvironmentFile=-{options_path} and ${variable} at the end of ExecStart=, or use unit_wiring 'drop_in'.",
    )


def later_drop_in(path: str, unit: str, own_path: str) -> DaemonError:
    """Return the error for a drop-in that would win over the collection's own."""
    return DaemonError(
        path,
        f"this drop-in of {unit} is read after {own_path} and sets the command or its environment anew",
        "Give it a name that sorts earlier, or add the options' variable to its ExecStart=, and run again.",
    )


def variable_set_later(path: str, variable: str, own_path: str) -> DaemonError:
    """Return the error for a variable that another environment file sets too, after the options file."""
    return DaemonError(
        path,
        f"it sets {variable} too, and systemd reads it after {own_path}",
        f"Take {variable} out of one of the two files, or name this file in 'path'.",
    )


def bad_unit(unit: str, said: str) -> DaemonError:
    """Return the error for unit files that systemd refuses, with what systemd-analyze said."""
    return DaemonError(
        unit, f"systemd would refuse the unit: {said}", "Nothing was changed; correct the unit's files and run again."
    )


def unusable_socket(socket: str, state: str) -> DaemonError:
    """Return the error for a socket unit that the service needs and that cannot be started."""
    return DaemonError(
        socket,
        f"the daemon takes its local socket from this unit (-H fd://), and the unit is {state}",
        f"Run 'systemctl unmask {socket}', or install it anew, and run again.",
    )


def other_command_loaded(unit: str, loaded: str) -> DaemonError:
    """Return the error for a unit that systemd loaded otherwise than planned."""
    return DaemonError(
        unit,
        f"systemd loaded another command than the one that was written ({loaded})",
        f"Look with 'systemctl cat {unit}' which of its files sets ExecStart= last.",
    )


def not_shell(path: str, said: str) -> DaemonError:
    """Return the error for an options file that a shell, and so an init script, cannot read."""
    return DaemonError(
        path, f"a shell cannot read the file: {said}", "Correct that place, or turn it into a comment, and run again."
    )


# daemon.json


def bad_json(where: str, why: str) -> DaemonError:
    """Return the error for a daemon.json that dockerd cannot read."""
    return DaemonError(where, f"dockerd cannot read it as JSON: {why}", "Correct it, then run again.")


def no_json_object(path: str) -> DaemonError:
    """Return the error for a daemon.json that holds a list or a single value."""
    return DaemonError(f"{path}:1", "it holds something other than an object", "Correct it, then run again.")


def set_in_both(path: str, found: t.Sequence[tuple[str, str, str]]) -> DaemonError:
    """Return the error for keys that are set on the command line and in daemon.json: (key, flag's, file's value)."""
    listed = "; ".join(f"{key} (on the command line: {flag}; in the file: {file})" for key, flag, file in found)
    return DaemonError(
        path,
        f"set both here and on dockerd's command line, with which dockerd does not start: {listed}",
        "Take the keys out of the file, or use on_conflict 'move' to have that done, with a backup.",
    )


# TLS


def tls_without_verify(where: str) -> DaemonError:
    """Return the error for ``--tls`` alone."""
    return DaemonError(
        where,
        "'tls' without 'tlsverify' accepts clients without a certificate on engines before 20.10",
        "Use tlsverify with tlscacert, tlscert and tlskey.",
    )


def tls_file_not_named(where: str, names: t.Sequence[str]) -> DaemonError:
    """Return the error for TLS options that leave a file to dockerd's defaults."""
    return DaemonError(
        where,
        f"TLS is on but {', '.join(names)} is not set: without a CA of its own dockerd trusts every public one",
        "Name all three files: tlscacert, tlscert and tlskey.",
    )


def tls_file_missing(path: str) -> DaemonError:
    """Return the error for a TLS file that is not there."""
    return DaemonError(
        path, "the options name this TLS file, and it is not there", "Issue the host's certificate first."
    )


def broken_bundle(path: str, whole: int, begun: int) -> DaemonError:
    """Return the error for a CA file of which not every block is a whole certificate."""
    return DaemonError(
        path,
        f"{begun} PEM blocks begin in it and {whole} of them are whole certificates",
        "Replace it with the certificates of the CA and nothing else.",
    )


def broken_certificate(where: str, why: str) -> DaemonError:
    """Return the error for a certificate that cannot be read."""
    return DaemonError(where, f"the certificate cannot be read: {why}", "Replace the file with a sound copy.")


def encrypted_key(path: str) -> DaemonError:
    """Return the error for a key with a passphrase, which dockerd cannot ask for."""
    return DaemonError(path, "the key is encrypted, and dockerd cannot ask for a passphrase", "Use a key without one.")


def key_does_not_fit(certificate: str, key: str) -> DaemonError:
    """Return the error for a certificate and a key that do not belong together."""
    return DaemonError(
        certificate, f"the key in {key} does not belong to it", "Issue the certificate anew for this key."
    )


def unreadable_pair(certificate: str, key: str, why: str) -> DaemonError:
    """Return the error for a certificate or key that OpenSSL cannot load."""
    return DaemonError(
        f"{certificate} with {key}",
        f"certificate and key cannot be loaded: {why}",
        "Replace them with sound PEM files.",
    )


def certificate_refused(certificate: str, ca: str, why: str) -> DaemonError:
    """Return the error for a server certificate that a client with this CA refuses."""
    return DaemonError(
        certificate, f"a client that trusts {ca} refuses it: {why}", "Issue the server's certificate anew from that CA."
    )


def certificate_without_names(certificate: str) -> DaemonError:
    """Return the error for a certificate without subjectAltName (RFC 6125; Go ignores the common name)."""
    return DaemonError(
        certificate,
        "it carries no subjectAltName, so that Docker clients refuse it",
        "Issue it anew with the host's names.",
    )


# The network


def port_taken(address: str, holder: str) -> DaemonError:
    """Return the error for a port that another process holds."""
    return DaemonError(address, f"{holder} listens there already", "Stop it, or choose another port.")


def address_absent(address: str, why: str) -> DaemonError:
    """Return the error for an address that the host does not have."""
    return DaemonError(
        address,
        f"the address is not on this host ({why})",
        "Listen on an address that 'ip address' shows, or on 0.0.0.0.",
    )


def address_unknown(address: str, why: str) -> DaemonError:
    """Return the error for a name that does not resolve."""
    return DaemonError(address, f"the name cannot be resolved on this host: {why}", "Listen on an IP address.")


# The engine


def no_program(path: str, where: str) -> DaemonError:
    """Return the error for a daemon that is not there."""
    return DaemonError(
        path,
        f"{where} names it as the daemon, and it is not an executable file",
        "Install Docker Engine, or correct the unit.",
    )


def no_help(program: str, said: str) -> DaemonError:
    """Return the error for an engine that does not list its options."""
    return DaemonError(
        program,
        f"'--help' does not list the options of a Docker Engine ({said})",
        "Look whether the program is dockerd.",
    )


def unknown_flag(name: str, program: str, known: t.Sequence[str]) -> DaemonError:
    """Return the error for an option that this engine does not know."""
    close = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return DaemonError(
        f"options, {name}",
        f"the engine on this host ({program}) knows no such option",
        f"Look at 'dockerd --help'; options come and go between releases.{hint}",
    )


def engine_refuses(program: str, said: str) -> DaemonError:
    """Return the error for a configuration that the engine itself refuses, in its words."""
    return DaemonError(
        program, f"the engine refuses the new configuration: {said}", "Nothing was changed; correct it and run again."
    )


def live_restore_with_swarm(unit: str) -> DaemonError:
    """Return the error for two features that exclude each other."""
    return DaemonError(
        unit,
        "live-restore is on and the engine is in a swarm, which dockerd refuses",
        "Turn live-restore off, or leave the swarm.",
    )


def live_restore_option(where: str, wanted: bool) -> DaemonError:
    """Return the error for live-restore on the command line that says the opposite of what was asked for."""
    return DaemonError(
        where,
        f"the option live-restore there is {'off' if wanted else 'on'}, and live_restore asks for the opposite",
        "Take the option away (remove: [live-restore]); live_restore keeps the setting in daemon.json.",
    )


def live_restore_not_taken(unit: str, wanted: bool) -> DaemonError:
    """Return the error for a daemon that did not take live-restore from daemon.json."""
    return DaemonError(
        unit,
        f"the daemon did not turn live-restore {'on' if wanted else 'off'} when it was told to read daemon.json again",
        f"See 'journalctl --unit {unit}' for why.",
    )


# The transaction


def bad_journal(path: str) -> DaemonError:
    """Return the error for a journal that cannot be read."""
    return DaemonError(
        path,
        "an interrupted run left this journal, and it cannot be read",
        "Compare the options file, the unit and daemon.json with a backup by hand, then remove the journal.",
    )


def locked(path: str, seconds: float) -> DaemonError:
    """Return the error for another run on the same host that does not end."""
    return DaemonError(
        path,
        f"another run on this host has held the lock for {seconds:.0f} seconds",
        "Wait for it to end, then run again.",
    )


def does_not_stop(unit: str, seconds: float) -> DaemonError:
    """Return the error for a service that keeps running."""
    return DaemonError(
        unit, f"it did not stop within {seconds:.0f} seconds", f"Look with 'systemctl status {unit}' what it waits for."
    )


def did_not_start(unit: str, result: str) -> DaemonError:
    """Return the error for a daemon that ended while it started."""
    why = f" (result: {result})" if result not in ("", "success") else ""
    return DaemonError(
        unit, f"the daemon ended while it started{why}", f"See 'journalctl --unit {unit}' for all of it."
    )


def starts_too_slowly(unit: str, seconds: float) -> DaemonError:
    """Return the error for a daemon that never reported that it was ready."""
    return DaemonError(
        unit,
        f"the daemon did not report that it was ready within {seconds:.0f} seconds",
        f"Raise 'timeout' if the host needs longer, or see 'journalctl --unit {unit}' for what it waits for.",
    )


def engine_silent(unit: str, where: t.Sequence[str]) -> DaemonError:
    """Return the error for a daemon that runs but does not answer."""
    return DaemonError(
        unit, f"the engine does not answer ({'; '.join(where)})", f"See 'journalctl --unit {unit}' for what it does."
    )


def other_arguments(unit: str, argv: t.Sequence[str]) -> DaemonError:
    """Return the error for a daemon that runs with other arguments than planned."""
    return DaemonError(
        unit, f"the daemon runs with other arguments than planned: {' '.join(argv)}", f"Look at 'systemctl cat {unit}'."
    )


def did_not_stay(unit: str, result: str) -> DaemonError:
    """Return the error for a daemon that ended soon after it had answered."""
    return DaemonError(
        unit,
        f"the daemon answered and then ended within seconds (result: {result})",
        f"See 'journalctl --unit {unit}' for all of it.",
    )


def no_guard(why: str) -> DaemonError:
    """Return the error for a host on which no process can be started to see a change to its end."""
    return DaemonError(
        "fork", f"no second process can be started ({why})", "Nothing was changed. Free some memory or processes."
    )


def run_killed(unit: str) -> DaemonError:
    """Return the error for a run that was killed while it changed the daemon's configuration."""
    return DaemonError(unit, "the run that was changing it was killed", "Run it again.")


class RolledBackError(DaemonError):
    """A change did not work and was undone: files and daemon are as they were."""


class NotRolledBackError(DaemonError):
    """A change did not work and could not be undone. The journal is still there."""


def rolled_back(
    problem: RemoteApiError, restored: t.Sequence[str], lines: t.Sequence[str], *, restarted: bool
) -> RolledBackError:
    """Return the error for a change that was undone: what went wrong, what was restored, what the journal says."""
    said = f" (the daemon's journal: {' | '.join(lines)})" if lines else ""
    files = f"Put back: {', '.join(restored)}." if restored else "Every file is as it was."
    daemon = " The daemon was started again as before, and answers." if restarted else " The daemon was not restarted."
    return RolledBackError(problem.subject, f"{problem.cause.rstrip('.')}{said}", f"{problem.remedy} {files}{daemon}")


def not_rolled_back(
    unit: str,
    problem: RemoteApiError,
    worse: t.Sequence[RemoteApiError],
    journal: str,
    lines: t.Sequence[str],
    *,
    answers: bool,
) -> NotRolledBackError:
    """Return the error for a change that could not be undone, the alarm first."""
    said = f"; the daemon's journal: {' | '.join(lines)}" if lines else ""
    return NotRolledBackError(
        f"{'NOT EVERYTHING WAS PUT BACK' if answers else 'DOCKER IS DOWN'} ON THIS HOST: {unit}",
        f"the change failed ({problem}{said}) and putting everything back failed too ({'; '.join(map(str, worse))})",
        f"Look at 'systemctl status {unit}' now. What was there is in {journal}, and the next run or boot tries again.",
    )


__all__ = tuple(
    name for name, item in list(globals().items()) if getattr(item, "__module__", None) == __name__ and name[0] != "_"
)
