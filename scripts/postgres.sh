# A PostgreSQL of the tests' own; to be sourced. start_postgres sets HOOKFLASH_TEST_POSTGRES, stop_postgres ends and removes it.
#
# It lives in a folder under /tmp (a socket's path must be short), listens on a free port of 127.0.0.1 with a password made here, and keeps
# its promises about durability (fsync), since tests kill servers and count what is left. It refuses to be root: then it runs as another.

pg_dir= pg_pid=

start_postgres() {
    local bin port password user=
    bin=$(postgres_bin) || { say "PostgreSQL is missing: run scripts/setup.sh"; return 1; }
    pg_dir=$(mktemp -d /tmp/hookflash-pg.XXXXXX) || return 1
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$pg_dir/password"
    if [ "$(id -u)" = 0 ]; then
        user=postgres
        id -u "$user" >/dev/null 2>&1 || user=nobody
        chown -R "$user" "$pg_dir"
    fi
    (unprivileged "$user" "$bin/initdb" -D "$pg_dir/data" -U hookflash --pwfile="$pg_dir/password" \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-locale) >"$pg_dir/initdb.log" 2>&1 ||
        { say "initdb failed:"; cat "$pg_dir/initdb.log" >&2; return 1; }

    local try
    for try in 1 2 3 4 5; do
        port=$(free_port)
        unprivileged "$user" "$bin/postgres" -D "$pg_dir/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$pg_dir" \
            -c fsync=on -c synchronous_commit=on -c max_connections=200 -c shared_buffers=64MB >"$pg_dir/postgres.log" 2>&1 &
        pg_pid=$!
        for _ in $(seq 300); do
            if "$bin/pg_isready" -q -h "$pg_dir" -p "$port" -U hookflash -d postgres; then
                export HOOKFLASH_TEST_POSTGRES="postgres://hookflash:$password@127.0.0.1:$port/postgres"
                return 0
            fi
            kill -0 "$pg_pid" 2>/dev/null || break
            sleep 0.1
        done
        stop_server
        say "PostgreSQL did not start on port $port (try $try)."
    done
    cat "$pg_dir/postgres.log" >&2
    return 1
}

stop_postgres() {
    stop_server
    [ -z "$pg_dir" ] || rm -rf "$pg_dir"
    pg_dir=
}

stop_server() {
    [ -n "$pg_pid" ] || return 0
    kill -INT "$pg_pid" 2>/dev/null || true
    wait "$pg_pid" 2>/dev/null || true
    pg_pid=
}

# Becomes the program, as that user (empty: as we are), in the folder; to be called in a subshell or as a job. The program is told to end when
# this shell does, whatever ended it.
unprivileged() {
    local user=$1
    shift
    cd "$pg_dir" || exit 1
    if [ -n "$user" ]; then
        exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --pdeathsig INT "$@"
    elif command -v setpriv >/dev/null; then
        exec setpriv --pdeathsig INT "$@"
    else
        exec "$@"
    fi
}

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
