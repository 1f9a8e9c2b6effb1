# shellcheck shell=bash
# Copyright (c) 2026, the dockerfleet maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What the other scripts of this folder share; to be sourced. Everything that is made lies in one cache folder outside
# the checkout, under names that hold a hash of what it was made from: nothing there is ever stale, and a second run is fast.

set -euo pipefail
export LC_ALL=C.UTF-8

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dockerfleet-remote-api/tools
mkdir -p "$cache"

# What the collection supports on a controller, newest first, then the versions that only modules have to run on.
controller_pythons=(3.14 3.13 3.12 3.11)
module_pythons=(3.10 3.9)

# Say what is wrong and end.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Print a short hash of standard input.
short_hash() {
    sha256sum | cut -c1-12
}

# Print each folder that may hold a Python: those on PATH, then those of pyenv, if there is one.
python_folders() {
    local root
    printf '%s\n' "${PATH//:/$'\n'}"
    if root=$(pyenv root 2>/dev/null); then
        printf '%s\n' "$root"/versions/*/bin
    fi
}

# Print the real path of a Python of version $1, or fail. Asking it to work tells a real one from a shim without a
# version behind it, and from Debian's without python3-venv.
find_python() {
    local version=$1 folder
    while read -r folder; do
        if [ -x "$folder/python$version" ]; then
            "$folder/python$version" -c 'import ensurepip, sys, venv; print(sys._base_executable)' 2>/dev/null && return 0
        fi
    done < <(python_folders)
    return 1
}

# Print the newest of the versions given as arguments that is on this machine.
newest_python() {
    local version
    for version; do
        find_python "$version" && return 0
    done
    return 1
}

# Print the folders of all the Pythons that the collection's code has to run on, joined by colons, for ansible-test.
all_python_folders() {
    local version python folders=()
    for version in "${controller_pythons[@]}" "${module_pythons[@]}"; do
        if python=$(find_python "$version"); then
            folders+=("${python%/*}")
        fi
    done
    (IFS=: && printf '%s\n' "${folders[*]}")
}

# Make sure of the virtual environment $1, made with the Python $2 from the requirements files named after it, and print
# its folder.
virtual_environment() {
    local name=$1 python=$2 folder log file arguments=()
    shift 2
    for file; do
        arguments+=(--requirement "$repo/tests/requirements/$file.txt")
    done
    folder=$cache/venv/$name-$({ "$python" -VV && for file; do cat "$repo/tests/requirements/$file.txt"; done; } | short_hash)
    log=$folder.log
    mkdir -p "$cache/venv"
    (
        flock 9
        if [ ! -e "$folder/complete" ]; then
            printf 'Making the virtual environment "%s" with %s ...\n' "$name" "$("$python" -V)" >&2
            rm -rf "$folder"
            if ! { "$python" -m venv "$folder" &&
                "$folder/bin/python" -m pip install --disable-pip-version-check "${arguments[@]}"; } >"$log" 2>&1; then
                tail -n 20 "$log" >&2
                fail "The virtual environment \"$name\" could not be made; the whole output is in $log."
            fi
            touch "$folder/complete"
        fi
    ) 9>"$folder.lock" || exit 1
    printf '%s\n' "$folder"
}

# Print the folder of one of the environments that the project's programs run in.
environment() {
    local newest
    newest=$(newest_python "${controller_pythons[@]}") ||
        fail "No Python of ${controller_pythons[*]} with its venv module was found; on Debian: apt-get install python3-venv"
    case $1 in
        test) virtual_environment test "$newest" test ;;
        tools) virtual_environment tools "$newest" test tools ;;
        importer) virtual_environment importer "$newest" importer ;;
        # Thousands of files, of which a test loads a few.
        peers) PIP_NO_COMPILE=1 virtual_environment peers "$newest" peers ;;
        oldest) # the oldest ansible-core that is supported runs on Python 3.12 at most
            virtual_environment oldest "$(newest_python 3.12 3.11 || printf '%s' "$newest")" oldest ;;
        *) fail "There is no environment \"$1\": test, tools, importer, peers or oldest." ;;
    esac
}

# Print a collections path under which this checkout is dockerfleet.remote_api, whatever folder it lies in.
linked_tree() {
    local tree
    tree=$cache/tree/$(printf '%s' "$repo" | short_hash)
    mkdir -p "$tree/ansible_collections/dockerfleet"
    ln -sfn "$repo" "$tree/ansible_collections/dockerfleet/remote_api"
    printf '%s\n' "$tree"
}

# Make a fresh copy of what git knows or would take (ansible-test resolves links, so it needs one), and print its folder.
copied_collection() {
    local copy
    copy=$cache/copy/$(printf '%s' "$repo" | short_hash)/ansible_collections/dockerfleet/remote_api
    rm -rf "$copy"
    mkdir -p "$copy"
    git -C "$repo" ls-files --cached --others --exclude-standard -z |
        (cd "$repo" && while IFS= read -r -d '' file; do
            if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
        done) |
        tar --create --directory "$repo" --null --files-from=- | tar --extract --directory "$copy"
    printf '%s\n' "$copy"
}

# Have the lab of this process, and of all that it starts, be one of its own: it holds a lock on the number, and nothing
# of another run is in that lab. So two runs on one machine do not meet, nor do they touch the hosts of the usual lab, 77.
# Who has set a number keeps it, and who is not root can boot no host.
take_lab() {
    local number
    if [ -n "${DOCKERFLEET_LAB:-}" ] || [ "$(id -u)" != 0 ]; then return; fi
    for number in {78..97}; do
        if [ ! -e "/var/lib/dockerfleet-$number" ]; then
            exec 7>"/run/dockerfleet.test-$number.lock"
            if flock --nonblock 7; then
                export DOCKERFLEET_LAB=$number
                return
            fi
        fi
    done
    fail "No lab from 78 to 97 is free. Take down what a killed run has left: DOCKERFLEET_LAB=78 tests/lab/lab down"
}

# Take down all hosts of the lab $1, and of the one that the tests of the lab use beside it (see test_lab.py).
take_down_labs() {
    local number
    for number in "$1" $((($1 + 126) % 254 + 1)); do
        DOCKERFLEET_LAB=$number "$repo/tests/lab/lab" down
    done
}

# Set up the environment of a program that runs with the collection: $1 names the virtual environment. Compiled code is
# kept: the tests start hundreds of Pythons, each of which would compile the collection anew.
enter() {
    local folder tree
    folder=$(environment "$1")
    tree=$(linked_tree)
    export PATH="$folder/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin:$cache/bin"
    export ANSIBLE_COLLECTIONS_PATH="$tree" PYTHONPATH="$tree"
    unset PYTHONHOME PYTHONDONTWRITEBYTECODE ANSIBLE_CONFIG ANSIBLE_LIBRARY ANSIBLE_MODULE_UTILS
}
