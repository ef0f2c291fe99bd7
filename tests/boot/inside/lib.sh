# shellcheck shell=bash
# What the chapters share. Each is a script of its own that ends with 1 at the first thing that does not hold.
set -Eeuo pipefail
trap 'echo "  failed: ${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND" >&2' ERR
cd /

readonly UNIT=payrecond.service
readonly DATABASE=/var/lib/payrecond/payrecond.db
readonly SETTINGS=/etc/payrecond/payrecond.toml
readonly KEY_FILE=/etc/payrecond/walletpay.key
export UNIT DATABASE SETTINGS KEY_FILE

# Each chapter may start the daemon as often as it likes.
systemctl reset-failed

fail() {
    echo "  not so: $*" >&2
    exit 1
}

# $1 what it is, $2 what it must be, $3 what was found.
equal() {
    [[ $2 == "$3" ]] || fail "$1 is '$3', not '$2'"
}

# Repeats a command until it succeeds; $1 says what is waited for.
await() {
    local what=$1 deadline=$((SECONDS + 20))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS <= deadline)) || fail "$what"
        sleep 0.05
    done
}

refused() {
    ! "$@" >/dev/null 2>&1 || fail "should be refused: $*"
}

# A property of a unit, by default the daemon's.
property() {
    systemctl show --property="$1" --value "${2:-$UNIT}"
}

is() {
    [[ $(property "$1") == "$2" ]]
}

# Whether the unit's journal holds the words of $1. A pipe would fail when grep has seen enough.
journal_says() {
    grep --quiet -- "$1" < <(journalctl --unit="$UNIT" --output=cat --no-pager || true)
}

# As another user, with the groups that the system gives it.
as() {
    local user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
}

# The database by the library of a program.
sql() {
    as bot sqlite3 -cmd '.timeout 5000' "$DATABASE" "PRAGMA wal_autocheckpoint = 0; $1" | tail -n +2
}

sql_is() {
    [[ $(sql "$1") == "$2" ]]
}

# A drop-in for a unit: $1 the unit, $2 its name, lines from stdin.
drop_in() {
    mkdir -p "/run/systemd/system/$1.d"
    cat >"/run/systemd/system/$1.d/$2.conf"
    systemctl daemon-reload
}

settings() {
    cat >"$SETTINGS" <<END
[database]
path = "$DATABASE"
[[account]]
name = "default"
base_url = "http://127.0.0.1:8181"
requests_per_second = 0
[polling]
min_interval = "500ms"
[feed]
stdout = "jsonl"
$*
END
}
