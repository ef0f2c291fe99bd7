#!/usr/bin/env bash
# What the units forbid is really refused: a probe runs in the place of the program. Each refusal has its control, the
# same attempt with the directive lifted, which must succeed: else it would prove nothing.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

# By what each attempt is allowed again; several directives where one alone does not decide.
readonly LIFTED='
write_outside           ProtectSystem=no
read_home               ProtectHome=no
read_tmp_of_others      PrivateTmp=no
see_processes_of_others ProtectProc=default
see_the_machine_in_proc ProcSubset=all
map_writable_code       MemoryDenyWriteExecute=no
make_a_namespace        RestrictNamespaces=no
open_a_raw_socket       PrivateUsers=no CapabilityBoundingSet=CAP_NET_RAW AmbientCapabilities=CAP_NET_RAW
open_a_netlink_socket   RestrictAddressFamilies=AF_NETLINK
make_a_setuid_program   RestrictSUIDSGID=no
change_the_personality  LockPersonality=no
change_its_priority     SystemCallFilter=
'

# A unit like $1 that runs the probe and writes what it found to /run/found; further arguments are lines of [Service].
probe() {
    local like=$1
    shift
    cp "/usr/lib/systemd/system/$like" /run/systemd/system/probe.service
    rm -f /run/found
    {
        printf '%s\n' '[Service]' Type=oneshot Restart=no WatchdogSec=0 ExecStart= \
            'ExecStart=/usr/bin/python3 /srv/boot/probe.py' StandardInput=null StandardOutput=truncate:/run/found
        printf '%s\n' "$@"
    } | drop_in probe.service probe
    systemctl start probe.service
}

found() {
    local answer
    answer=$(awk -v attempt="$1" '$1 == attempt {print $2}' /run/found)
    [[ $answer == "$2" ]] || fail "$3: $1 is ${answer:-not tried}, not $2"
}

refusals() {
    local attempt _
    while read -r attempt _; do
        [[ -z $attempt ]] || found "$attempt" refused "$1"
    done <<<"$LIFTED"
    found write_the_database_folder allowed "$1"
}

controls() {
    local attempt directives lines
    while read -r attempt directives; do
        [[ -n $attempt ]] || continue
        read -ra lines <<<"$directives"
        probe "$UNIT" "${lines[@]}"
        found "$attempt" allowed "${lines[*]}"
    done <<<"$LIFTED"
}

install -d -m 777 /srv/open
install -D -m 644 <(echo secret) /home/someone/diary
install -m 644 <(echo secret) /tmp/of-others

probe "$UNIT"
refusals "$UNIT"
found reach_the_network allowed "$UNIT"
controls

readonly FEED=payrecond-feed@.service
probe $FEED
refusals $FEED
found reach_the_network refused $FEED
probe $FEED PrivateNetwork=no 'RestrictAddressFamilies=AF_INET' IPAddressDeny=
found reach_the_network allowed "$FEED with a network"
