#!/usr/bin/env bash
# Installs what building and testing need beside Rust, from Debian's packages. Says what before it does; does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# Rust is not Debian's here: its own is older than what Cargo.toml asks for.
rust_is_there() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null; then
        say "Rust $wanted or later is missing: install it with rustup, then run this again."
        return 1
    fi
    have=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n1)" != "$wanted" ]; then
        say "Rust $have is too old, $wanted or later is needed: run 'rustup update', then this again."
        return 1
    fi
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        say "rustfmt or clippy is missing: run 'rustup component add rustfmt clippy', then this again."
        return 1
    fi
}

# The packages that are missing, one a line. A bare /usr/bin/perl lacks the modules that OpenSSL's build uses.
missing_packages() {
    command -v cc >/dev/null || echo gcc
    printf '#include <stdlib.h>\n' | { cc -E - || gcc -E -; } >/dev/null 2>&1 || echo libc6-dev
    perl -MFindBin -MIPC::Cmd -MTime::Piece -e1 >/dev/null 2>&1 || echo perl
    command -v make >/dev/null || echo make
    postgres_bin >/dev/null || echo postgresql
    command -v setpriv >/dev/null || echo util-linux
}

# As root, or through sudo; without a terminal sudo must not ask.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else
        return 1
    fi
}

give_up() {
    say "$1"
    say "Install by hand, as root: apt-get update && apt-get install ${packages[*]}"
    say "(on another system: the packages of the same meaning), then run this again."
    exit 1
}

rust_is_there || exit 1
mapfile -t packages < <(missing_packages)
if [ ${#packages[@]} = 0 ]; then
    say "Everything that building and testing need is there."
    exit 0
fi

say "Missing, to be installed from Debian's packages: ${packages[*]}"
case " ${packages[*]} " in
    *" postgresql "*) say "(Debian starts a PostgreSQL of its own with that; the tests leave it alone and start another.)" ;;
esac
command -v apt-get >/dev/null || give_up "There is no apt-get here."
as_root true 2>/dev/null || give_up "Neither root nor sudo is at hand."
as_root apt-get update || say "The lists of packages could not be refreshed; trying with those that are here."
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}" || give_up "The installation failed."

mapfile -t packages < <(missing_packages)
[ ${#packages[@]} = 0 ] || give_up "Still missing after the installation: ${packages[*]}"
say "Everything that building and testing need is there now."
