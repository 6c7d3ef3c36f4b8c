# Shared by the scripts beside it; to be sourced.

say() {
    printf '%s\n' "$*" >&2
}

# Prints the folder of PostgreSQL's programs: on the path, or where Debian keeps them, the newest version first.
postgres_bin() {
    local dir
    for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && [ -x "$dir/pg_isready" ]; then
            echo "$dir"
            return 0
        fi
    done
    return 1
}
