import json, socket, sys
feed = socket.socket(socket.AF_UNIX)
feed.connect("/run/payrecond/feed.sock")
feed.sendall(f"SUB {' '.join(sys.argv[1:])}\r\n".encode())  # whose place in the outbox, and which events
frames = feed.makefile("rb")
for head in iter(frames.readline, b""):  # MSG <subject> 1 <bytes>
    if not head.startswith(b"MSG "): sys.exit(head.decode().strip())
    event = json.loads(frames.read(int(head.split()[-1]) + 2))
    print(event["type"], event["subject"], flush=True)
