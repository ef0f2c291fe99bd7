"""Tries what a hardened unit must not be able to do; one line each: the attempt, and refused or allowed."""

import mmap
import os
import socket
import subprocess


def write_outside():
    with open("/srv/open/by-probe", "w") as file:
        file.write("x")


def read_home():
    open("/home/someone/diary").read()


def read_tmp_of_others():
    open("/tmp/of-others").read()


def see_processes_of_others():
    os.stat("/proc/1/status")


def see_the_machine_in_proc():
    os.stat("/proc/version")


def map_writable_code():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def make_a_namespace():
    run("unshare", "--user", "true")


def open_a_raw_socket():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def open_a_netlink_socket():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


def reach_the_network():
    socket.create_connection(("127.0.0.1", 8181), timeout=5).close()


def make_a_setuid_program():
    path = "/var/lib/payrecond/setuid"
    open(path, "w").close()
    try:
        os.chmod(path, 0o4755)
    finally:
        os.remove(path)


def change_the_personality():
    run("setarch", "--addr-no-randomize", "true")


def change_its_priority():
    run("nice", "true", check_stderr=True)


def write_the_database_folder():
    path = "/var/lib/payrecond/by-probe"
    open(path, "w").close()
    os.remove(path)


def run(*command, check_stderr=False):
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0 or (check_stderr and done.stderr):
        raise PermissionError(done.stderr)


ATTEMPTS = [
    write_outside,
    read_home,
    read_tmp_of_others,
    see_processes_of_others,
    see_the_machine_in_proc,
    map_writable_code,
    make_a_namespace,
    open_a_raw_socket,
    open_a_netlink_socket,
    reach_the_network,
    make_a_setuid_program,
    change_the_personality,
    change_its_priority,
    write_the_database_folder,
]

for attempt in ATTEMPTS:
    try:
        attempt()
        print(attempt.__name__, "allowed")
    except OSError:
        print(attempt.__name__, "refused")
