# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection: it can change at any time. Do not use it from elsewhere.

"""Every error text about the daemon's options, its unit and its service, in one place."""

from __future__ import annotations

from ansible_collections.dockerfleet.remote_api.plugins.module_utils._errors import RemoteApiError


class DaemonError(RemoteApiError):
    """The daemon cannot be configured as asked, or did not take its new configuration."""


class RolledBackError(DaemonError):
    """A change did not work and was undone: files and daemon are as they were."""


class NotRolledBackError(DaemonError):
    """A change did not work and could not be undone. The journal is still there."""


# The command line
stray_argument = DaemonError.text(
    "{where}",
    "the word '{word}' is no option, and dockerd takes no arguments",
    "Remove it there, or quote it as a part of its option.",
)
option_without_value = DaemonError.text(
    "{where}", "the option '{word}' lacks its value", "Give it one, as in --name=value, or remove it."
)
bad_option_name = DaemonError.text(
    "options, {name}",
    "it is not the long name of a dockerd option",
    "Use the name that 'dockerd --help' prints, without dashes before it, such as host, dns or log-level.",
)
bad_option_value = DaemonError.text(
    "options, {name}",
    "a value of type {kind}, or an empty one, cannot stand on a command line",
    "Give text, a number, true or false, or a list or mapping of them; 'remove' takes options away.",
)
option_without_items = DaemonError.text(
    "options, {name}", "the list is empty", "Give it an item, or name the option in 'remove' to take it away."
)
not_an_address = DaemonError.text(
    "options, {name}", "'{value}' is not an IP address", "Write it as in 8.8.8.8 or 2001:db8::1."
)
word_not_safe = DaemonError.text(
    "options, {word}",
    "it has blanks, quotes, a backslash, '$', '#' or another character in it that an options file cannot hold safely",
    "Set this option in daemon.json instead.",
)
unknown_scheme = DaemonError.text(
    "options, host, {value}",
    "dockerd listens on tcp://, unix:// and fd:// addresses only",
    "Write address and port, as in tcp://0.0.0.0:2376 or tcp://[::1]:2376.",
)
no_address_and_port = DaemonError.text(
    "options, host, {value}",
    "it is not ADDRESS:PORT",
    "Write address and port, as in tcp://0.0.0.0:2376 or tcp://[::1]:2376.",
)
port_out_of_range = DaemonError.text(
    "options, host, {value}",
    "its port is not between 1 and 65535",
    "Write address and port, as in tcp://0.0.0.0:2376 or tcp://[::1]:2376.",
)
not_text = DaemonError.text(
    "{path}:{line}",
    "there are bytes in it that are not UTF-8, so that systemd does not read the file at all",
    "Save the file as UTF-8, then run again.",
)
byte_order_mark = DaemonError.text(
    "{path}:1",
    "the file begins with a byte order mark, with which systemd ignores its first line",
    "Save it as UTF-8 without one, then run again.",
)
comment_with_backslash = DaemonError.text(
    "{path}:{line}",
    "the comment ends in a backslash, with which systemd before version 254 swallows the next line",
    "Remove the backslash, then run again.",
)
open_quote = DaemonError.text(
    "{path}:{line}",
    "a quote in the value that begins here is not closed, so that the rest of the file belongs to it",
    "Close it, then run again.",
)
inside_value = DaemonError.text(
    "{path}:{line}",
    "the line belongs to the value of {name}, which begins in line {begin}",
    "Close its quote, or remove the backslash at the end of its line, then run again.",
)
shell_syntax = DaemonError.text(
    "{path}:{line}",
    "{syntax} is a shell construct; systemd, which alone reads this file, {instead}",
    'Write the options on one line of their own as NAME="--option=value --option=value", then run again.',
)
word_not_plain = DaemonError.text(
    "{path}:{line}",
    "the word {word!r} begins with '#', or has a quote, a backslash or a control character in it",
    'Write the options on one line of their own as NAME="--option=value --option=value", then run again.',
)
command_prefix = DaemonError.text(
    "{where}",
    "ExecStart= begins with '{prefix}', with which options from a variable cannot be passed on",
    "Remove the prefix.",
)
not_dockerd = DaemonError.text(
    "{where}",
    "ExecStart= runs {program}, not dockerd, so that nobody can tell whether it passes options on",
    "Let the unit call dockerd itself, or set the options in daemon.json.",
)
unknown_specifier = DaemonError.text(
    "{where}",
    "{key}= has the specifier {specifier}, whose value cannot be told beforehand",
    "Write its value in its place.",
)
environment_file_pattern = DaemonError.text(
    "{path}",
    "{unit} reads it by a pattern, EnvironmentFile={pattern}, and so every file beside it that matches",
    "Name the file itself in the unit, or choose another options file.",
)
environment_file_missing = DaemonError.text(
    "{path}",
    "{unit} demands this EnvironmentFile=, and it is not there",
    "Create it, or put a '-' before its path in the unit.",
)
not_wired = DaemonError.text(
    "{path}",
    "the unit does not read {variable} from {options_path}, and unit_wiring is 'none'",
    "Add EnvironmentFile=-{options_path} and ${variable} at the end of ExecStart=, or use unit_wiring 'drop_in'.",
)
unread_options = DaemonError.text(
    "{where}",
    "the unit has never read these options, and with this change the daemon would take them: {options}",
    "Take out what is not wanted. on_unread_options 'adopt' keeps all, 'discard' none, with a backup of the file.",
)
bad_record = DaemonError.text(
    "{path}",
    "the record of what was there before this collection cannot be read",
    "Move it away. What the collection's options name is then taken out of the files, and nothing is put back.",
)
later_drop_in = DaemonError.text(
    "{path}",
    "this drop-in of {unit} is read after {own_path} and sets the command or its environment anew",
    "Give it a name that sorts earlier, or add the options' variable to its ExecStart=, and run again.",
)
variable_set_later = DaemonError.text(
    "{path}",
    "it sets {variable} too, and systemd reads it after {own_path}",
    "Take {variable} out of one of the two files, or name this file in 'path'.",
)
variable_filtered = DaemonError.text(
    "{where}",
    "{key}= names {variable}, so that what the options file says is not, or not alone, what the daemon gets",
    "Take {variable} out of {key}=, or name another variable as the options' own, and run again.",
)
bad_unit = DaemonError.text(
    "{unit}", "systemd would refuse the unit: {said}", "Nothing was changed; correct the unit's files and run again."
)
other_engine = DaemonError.text(
    "{service}",
    "this host has {what} instead, and no daemon of the system's own that could be configured",
    "Install Docker Engine as a service of the system (docker.io or docker-ce), or take the host out of the play.",
)
unusable_socket = DaemonError.text(
    "{socket}",
    "the daemon takes its local socket from this unit (-H fd://), and the unit is {state}",
    "Run 'systemctl unmask {socket}', or install it anew, and run again.",
)
other_command_loaded = DaemonError.text(
    "{unit}",
    "systemd loaded another command than the one that was written ({loaded})",
    "Look with 'systemctl cat {unit}' which of its files sets ExecStart= last.",
)
bad_json = DaemonError.text("{where}", "dockerd cannot read it as JSON: {why}", "Correct it, then run again.")
no_json_object = DaemonError.text("{path}:1", "it holds something other than an object", "Correct it, then run again.")
tls_without_verify = DaemonError.text(
    "{where}",
    "'tls' without 'tlsverify' accepts clients without a certificate on engines before 20.10",
    "Use tlsverify with tlscacert, tlscert and tlskey.",
)
tls_file_not_named = DaemonError.text(
    "{where}",
    "TLS is on but {names} is not set: without a CA of its own dockerd trusts every public one",
    "Name all three files: tlscacert, tlscert and tlskey.",
)
tls_file_missing = DaemonError.text(
    "{path}", "the options name this TLS file, and it is not there", "Issue the host's certificate first."
)
broken_bundle = DaemonError.text(
    "{path}",
    "{begun} PEM blocks begin in it and {whole} of them are whole certificates",
    "Replace it with the certificates of the CA and nothing else.",
)
broken_certificate = DaemonError.text(
    "{where}", "the certificate cannot be read: {why}", "Replace the file with a sound copy."
)
encrypted_key = DaemonError.text(
    "{path}", "the key is encrypted, and dockerd cannot ask for a passphrase", "Use a key without one."
)
key_does_not_fit = DaemonError.text(
    "{certificate}", "the key in {key} does not belong to it", "Issue the certificate anew for this key."
)
unreadable_pair = DaemonError.text(
    "{certificate} with {key}", "certificate and key cannot be loaded: {why}", "Replace them with sound PEM files."
)
certificate_refused = DaemonError.text(
    "{certificate}", "a client that trusts {ca} refuses it: {why}", "Issue the server's certificate anew from that CA."
)
certificate_without_names = DaemonError.text(
    "{certificate}",
    "it carries no subjectAltName, so that Docker clients refuse it",
    "Issue it anew with the host's names.",
)
port_taken = DaemonError.text("{address}", "{holder} listens there already", "Stop it, or choose another port.")
addresses_overlap = DaemonError.text(
    "{address}",
    "it overlaps with {other}, so that the daemon could not open both",
    "Listen on one of them. A wildcard address covers both IPv4 and IPv6; look at the unit's own -H options, too.",
)
held_by_socket = DaemonError.text(
    "{socket}",
    "systemd listens on {other} for the daemon (-H fd://), so that the daemon could not open {address} itself",
    "Take that ListenStream= out of {socket} ('systemctl cat {socket}' shows where it is), or choose another port.",
)
address_absent = DaemonError.text(
    "{address}",
    "the address is not on this host ({why})",
    "Listen on an address that 'ip address' shows, or on 0.0.0.0.",
)
address_unknown = DaemonError.text(
    "{address}", "the name cannot be resolved on this host: {why}", "Listen on an IP address."
)
no_program = DaemonError.text(
    "{path}",
    "{where} names it as the daemon, and it is not an executable file",
    "Install Docker Engine, or correct the unit.",
)
no_help = DaemonError.text(
    "{program}",
    "'--help' does not list the options of a Docker Engine ({said})",
    "Look whether the program is dockerd.",
)
engine_refuses = DaemonError.text(
    "{program}", "the engine refuses the new configuration: {said}", "Nothing was changed; correct it and run again."
)
live_restore_with_swarm = DaemonError.text(
    "{unit}",
    "live-restore is on and the engine is in a swarm, which dockerd refuses",
    "Turn live-restore off, or leave the swarm.",
)
live_restore_option = DaemonError.text(
    "{where}",
    "the option live-restore there is {state}, and live_restore asks for the opposite",
    "Take the option away (remove: [live-restore]); live_restore keeps the setting in daemon.json.",
)
live_restore_unknown = DaemonError.text(
    "{unit}",
    "the daemon does not answer on its local socket, so that it cannot be told to keep the containers running",
    "Nothing was restarted. Look why it does not answer, or leave live_restore out: then a restart ends them.",
)
option_overruled = DaemonError.text(
    "{where}",
    "ExecStart= gives --{name}={value} after ${variable}, and the last one counts",
    "Take the option out of ExecStart=, or put it before ${variable}.",
)
insecure = DaemonError.text(
    "{where}",
    "the daemon would listen on {addresses} without tlsverify: everybody who reaches that is root on the host",
    "Set tlsverify with tlscacert, tlscert and tlskey, listen on loopback, or use allow_insecure if you accept that.",
)
data_moved = DaemonError.text(
    "{unit}",
    "the engine had {count} containers in {root} before the restart, and has {new_count} in {new_root} after it",
    "Look which option changed that. If it is wanted, request it by name: data-root, userns-remap or storage-driver.",
)
data_to_move = DaemonError.text(
    "{unit}",
    "the engine keeps its data in {root}, and whoever restarts it next makes it look for them in {new_root}",
    "Nothing was changed. Correct data-root in daemon.json or the unit, or restart the daemon yourself if it is right.",
)
left_open = DaemonError.text(
    "{unit}",
    "without this collection the daemon would listen on {addresses} and let everybody in, as root on the host",
    "Take the address out of {places}. Or use allow_insecure if you accept that.",
)
left_without_tls_files = DaemonError.text(
    "{unit}",
    "the daemon would still get {settings}, and not start without {files}, which goes with this collection",
    "Take these settings out of {places}, or use keep_certificates.",
)
live_restore_not_taken = DaemonError.text(
    "{unit}",
    "the daemon did not turn live-restore {state} when it was told to read daemon.json again",
    "See 'journalctl --unit {unit}' for why.",
)
bad_journal = DaemonError.text(
    "{path}",
    "an interrupted run left this journal, and it cannot be read",
    "Compare the options file, the unit and daemon.json with a backup by hand, then remove the journal.",
)
edited_meanwhile = DaemonError.text(
    "{path}", "somebody else changed it while this run was planning", "Nothing was changed. Run again."
)
locked = DaemonError.text(
    "{path}",
    "another run on this host has held the lock for {seconds:.0f} seconds",
    "Wait for it to end, then run again.",
)
does_not_stop = DaemonError.text(
    "{unit}", "it did not stop within {seconds:.0f} seconds", "Look with 'systemctl status {unit}' what it waits for."
)
starts_too_slowly = DaemonError.text(
    "{unit}",
    "the daemon did not report that it was ready within {seconds:.0f} seconds",
    "Raise 'timeout' if the host needs longer, or see 'journalctl --unit {unit}' for what it waits for.",
)
engine_silent = DaemonError.text(
    "{unit}", "the engine does not answer ({where})", "See 'journalctl --unit {unit}' for what it does."
)
other_arguments = DaemonError.text(
    "{unit}", "the daemon runs with other arguments than planned: {argv}", "Look at 'systemctl cat {unit}'."
)
did_not_stay = DaemonError.text(
    "{unit}",
    "the daemon answered and then ended within seconds (result: {result})",
    "See 'journalctl --unit {unit}' for all of it.",
)
no_guard = DaemonError.text(
    "fork", "no second process can be started ({why})", "Nothing was changed. Free some memory or processes."
)
run_killed = DaemonError.text("{unit}", "the run that was changing it was killed", "Run it again.")
no_command = DaemonError.text(
    "{unit}", "it has no ExecStart=", "Leave exactly one; name the daemon there, as the package of the engine does."
)
several_commands = DaemonError.text(
    "{unit}",
    "it has more than one ExecStart= ({places})",
    "Leave exactly one; a drop-in that sets it anew needs a line 'ExecStart=' with nothing after it before.",
)
set_in_both = DaemonError.text(
    "{path}",
    "set both here and on dockerd's command line, with which dockerd does not start: {conflicts}",
    "Take the keys out of the file, or use on_conflict 'move' to have that done, with a backup.",
)
unknown_flag = DaemonError.text(
    "options, {name}",
    "the engine on this host ({program}) knows no such option",
    "Look at 'dockerd --help'; options come and go between releases.{hint}",
)
did_not_start = DaemonError.text(
    "{unit}", "the daemon ended while it started{result}", "See 'journalctl --unit {unit}' for all of it."
)
unexpected = DaemonError.text(
    "{where}",
    "this collection did not expect that: {what}",
    "Please report it with this message and the versions of the engine and of this collection.",
)
rolled_back = RolledBackError.text("{subject}", "{cause}{journal}", "{remedy} {files} {daemon}")
not_rolled_back = NotRolledBackError.text(
    "{state} ON THIS HOST: {unit}",
    "the change failed ({problem}{lines}) and putting everything back failed too ({failures})",
    "Look at 'systemctl status {unit}' now. The original files are saved in {journal}; the next run or boot retries the"
    " rollback.",
)

__all__ = tuple(name for name, item in list(globals().items()) if callable(item) and name[0] != "_")
