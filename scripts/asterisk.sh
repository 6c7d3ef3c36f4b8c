#!/usr/bin/env bash
# A real Asterisk for tests and the demo: Debian's own package, in a folder of its own (a chroot of sid; about 700 MB, a minute to build).
#
#   asterisk.sh build          builds the folder if it is not there; done again, it does nothing
#   asterisk.sh new NAME IP    gives an Asterisk of this name and loopback address its files, from scripts/asterisk/, and prints their folder;
#                              telephones, dialplan and manager's users are added to them by whoever wants them
#   asterisk.sh run NAME       runs it until it is stopped: this becomes the program itself
#   asterisk.sh remove         deletes everything
#
# HOOKFLASH_ASTERISK names the folder, /var/tmp/hookflash-asterisk by default. Nothing outside it is touched, but for the packages
# debootstrap and sip-tester (SIPp, the telephones of the tests), which are installed when they are missing. What has to be mounted is
# mounted in a namespace that ends with the program, so nothing stays mounted.
# Exit status 3: this machine cannot have one, and the last line says why.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

root=${HOOKFLASH_ASTERISK:-/var/tmp/hookflash-asterisk}
# Written last: a folder without it is one whose building was cut short.
mark=$root/.hookflash-complete

cannot() {
    say "No Asterisk: $*"
    exit 3
}

# What only a privileged user of a Debian machine has.
able() {
    [ "$(id -u)" = 0 ] || cannot "chroot needs root; run this as root."
    command -v apt-get >/dev/null || cannot "it is built of Debian's packages, and this machine has no apt-get."
    command -v unshare >/dev/null && unshare --mount true 2>/dev/null || cannot "this machine allows no mounts of one's own (unshare --mount)."
}

# The address that this machine itself has its Debian packages from.
mirror() {
    { sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true
      sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null || true; } | grep -m1 /debian
}

tools() {
    command -v debootstrap >/dev/null && command -v sipp >/dev/null && return
    say "Installing debootstrap and sip-tester."
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >/dev/null || say "apt-get update failed; going on with the lists that are here."
    apt-get -q install -y --no-install-recommends debootstrap sip-tester >/dev/null \
        || cannot "debootstrap and sip-tester could not be installed; is the mirror of Debian reachable?"
}

build() {
    able
    tools
    if [ -e "$mark" ]; then
        say "Asterisk is in $root: $(cat "$mark")"
        return
    fi
    local from
    from=$(mirror) || cannot "no mirror of Debian is in /etc/apt."
    say "Building $root: Debian sid, then Asterisk. This takes a minute or two."
    rm -rf "${root:?}"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=ca-certificates sid "$root" "$from" >"$root.log" 2>&1 \
        || cannot "debootstrap failed; $root.log says why: $(tail -1 "$root.log")"
    # The machine's own way to its mirror.
    find /etc/apt/apt.conf.d -name '99*' -exec cp {} "$root/etc/apt/apt.conf.d/" \;
    # Asterisk asks for its own name, and nobody shall wait for an answer from elsewhere.
    printf '127.0.0.1 localhost %s a.root-servers.net\n' "$(hostname)" >"$root/etc/hosts"
    # Nothing is started by being installed.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    inside 'export DEBIAN_FRONTEND=noninteractive LC_ALL=C
        apt-get -q update && apt-get -q install -y --no-install-recommends asterisk asterisk-modules && apt-get clean' >>"$root.log" 2>&1 \
        || cannot "Asterisk could not be installed in $root; $root.log says why: $(tail -1 "$root.log")"
    inside 'asterisk -V' >"$root/version" 2>>"$root.log" || cannot "Asterisk does not run in $root; $root.log says why."
    mv "$root/version" "$mark"
    rm -f "$root.log"
    say "Built in $SECONDS s: $(cat "$mark")"
}

# Runs shell words in the folder, with /proc there for as long as they run.
inside() {
    unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "$2"' sh "$root" "$1"
}

complete() {
    able
    [ -e "$mark" ] || cannot "$root is not there or not complete; run scripts/asterisk.sh build."
}

# new NAME IP: the files of one Asterisk.
new() {
    local name=$1 address=$2 folder file
    folder=$root/lab/$name
    [[ $name =~ ^[a-z0-9-]+$ ]] || { say "A name is made of a-z, 0-9 and -."; exit 2; }
    [[ $address == 127.* ]] || { say "$address is no address of this machine's loopback, and these are for tests."; exit 2; }
    mkdir -p "$folder"/{agi,db,keys,run} "$folder"/spool/{monitor,outgoing,tmp,voicemail} "$folder"/log/{cdr-csv,cel-custom}
    for file in scripts/asterisk/*.conf; do
        sed "s/@NAME@/$name/g; s/@ADDRESS@/$address/g" "$file" >"$folder/${file##*/}"
    done
    # Read if there, and missed aloud if not.
    for file in acl ccss cli cli_aliases codecs confbridge features http pjproject queuerules res_parking sorcery udptl voicemail; do
        : >"$folder/$file.conf"
    done
    echo "$folder"
}

case ${1:-} in
build) build ;;
new)
    complete
    new "${2:?a name}" "${3:?an address}"
    ;;
run)
    complete
    # In place of this shell: whoever started it has Asterisk's own pid.
    exec unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" asterisk -f -C "/lab/$2/asterisk.conf"' sh "$root" "${2:?a name}"
    ;;
remove)
    able
    rm -rf --one-file-system "${root:?}"
    ;;
*)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
