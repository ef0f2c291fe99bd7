# shellcheck shell=bash
# The machine of the boot test: its root, its boot, its end. Sourced by `run`, within namespaces of its own.

# An empty system over the /usr and the package database of this one; all that is written goes to memory.
# $1: a directory to mount on, with the packages; $2: the chapters.
make_root() {
    local layers=$1/layers name
    root=$1/root
    mkdir "$layers" "$root"
    mount -t tmpfs -o mode=755 tmpfs "$layers"
    mkdir "$layers"/{root,usr,usr.work,dpkg,dpkg.work}
    mount --bind "$layers/root" "$root"
    mkdir -p "$root"/{etc,home,root,srv/boot,usr,var/lib/dpkg,var/log}
    layer /usr "$layers/usr" "$root/usr"
    layer /var/lib/dpkg "$layers/dpkg" "$root/var/lib/dpkg"
    # A build machine forbids packages to start anything; this one is not.
    rm -f "$root/usr/sbin/policy-rc.d"
    # Overrides name groups that this system does not have.
    : >"$root/var/lib/dpkg/statoverride"
    for name in bin sbin lib lib32 lib64 libx32; do
        if [[ -L /$name ]]; then
            cp -a "/$name" "$root/"
        fi
    done
    cp -a /etc/ld.so.* /etc/alternatives "$root/etc/"
    write_etc
    cp "$2"/* "$1"/*.deb "$root/srv/boot/"
}

# $1 below, $2 what is written, $3 where both are seen as one.
layer() {
    mount -t overlay -o "lowerdir=$1,upperdir=$2,workdir=$2.work" overlay "$3"
}

write_etc() {
    printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/:/usr/sbin/nologin >"$root/etc/passwd"
    printf '%s\n' root:x:0: nogroup:x:65534: >"$root/etc/group"
    # With an id it is no first boot, which would enable whatever units this machine has.
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    # journald is made stingy, so that a few thousand events show whether the unit's own limits hold.
    mkdir -p "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nRateLimitIntervalSec=30s\nRateLimitBurst=100\n' >"$root/etc/systemd/journald.conf.d/stingy.conf"
}

# The control groups that a machine of name $1 lives in.
control_groups() {
    local hierarchy
    if [[ -d /sys/fs/cgroup/unified ]]; then
        for hierarchy in systemd unified; do
            echo "/sys/fs/cgroup/$hierarchy/$1"
        done
    else
        echo "/sys/fs/cgroup/$1"
    fi
}

remove_control_groups() {
    local group _
    for group in $(control_groups "$1"); do
        # The last processes may still be about to end.
        for _ in {1..100}; do
            [[ -d $group ]] || break
            find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
        done
    done
}

# Starts systemd and waits until nothing is left to be started.
boot() {
    local group
    # nspawn's own traces stay in these namespaces too.
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs tmpfs /run/systemd/nspawn
    for group in $(control_groups "${1##*/}"); do
        mkdir "$group"
    done
    (
        for group in $(control_groups "${1##*/}"); do
            echo 0 >"$group/cgroup.procs"
        done
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        exec systemd-nspawn --quiet --register=no --keep-unit --private-network --machine=payrecond --console=pipe \
            --directory="$root" --boot -- systemd.firstboot=no systemd.unit=multi-user.target quiet
    ) </dev/null >"$1/console" 2>&1 &
    nspawn=$!
    await booted
    echo "booted $(inside systemctl --version | head -n 1)"
}

# nspawn's child is the machine's first process once it has processes of its own to count: not before may anything be
# done there, it would be done here.
booted() {
    leader=$(pgrep --parent "$nspawn" | head -n 1)
    [[ -n $leader && $(readlink "/proc/$leader/ns/pid") != $(readlink /proc/self/ns/pid) ]] &&
        inside systemctl is-active --quiet multi-user.target
}

# Repeats a command until it succeeds; gives up after 30 s.
await() {
    local deadline=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > deadline)); then
            echo "in vain: $*"
            cat "$BOOT_TEST_WORK/console"
            inside systemctl list-jobs --no-pager --full || true
            inside systemctl --failed --no-pager --full || true
            inside journalctl --no-pager --lines=40 || true
            return 1
        fi
        sleep 0.05
    done
}

inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "$@"
}

tell_state() {
    inside systemctl status --no-pager --lines=0 'payrecond*' || true
    inside journalctl --no-pager --output=short-monotonic --lines=500 --unit='payrecond*' |
        grep --invert-match specversion | tail -n 60 | cut -c 1-300 || true
    inside journalctl --no-pager --output=short-monotonic --lines=10 --identifier=systemd | cut -c 1-300 || true
}

shut_down() {
    kill -KILL "$leader" || true
    wait "$nspawn" || true
}
