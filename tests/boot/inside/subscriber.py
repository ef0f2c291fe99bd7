"""A client of the feed's socket: subscriber.py CONSUMER COUNT [PATTERN]. Reads so many frames, says when
it has the first, and how many in the end."""

import socket
import sys

consumer, count, pattern = (sys.argv[1:] + [""])[:3]
feed = socket.socket(socket.AF_UNIX)
feed.settimeout(20)
feed.connect("/run/payrecond/feed.sock")
feed.sendall(f"SUB {consumer} {pattern}\r\n".encode())
frames = feed.makefile("rb")
read = 0
while read < int(count):
    head = frames.readline()
    if not head.startswith(b"MSG "):
        sys.exit(head.decode().strip() or "hung up")
    payload = frames.read(int(head.split()[-1]) + 2)
    assert payload.endswith(b"}\r\n"), payload[-10:]
    read += 1
    if read == 1:
        print("reading", flush=True)
print(read)
