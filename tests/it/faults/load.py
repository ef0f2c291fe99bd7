# A program beside the daemon: inserts rows at a steady pace, reads the outbox behind its own consumer.
import json, sqlite3, sys, time

case = json.load(sys.stdin)
connection = sqlite3.connect(case["file"], timeout=5, isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("PRAGMA synchronous = " + case["synchronous"])
name, pause = case["name"], 1 / case["per_second"]
connection.execute("INSERT OR IGNORE INTO consumers (name) VALUES (?)", (name,))
took, place, read, errors = [], 0, 0, []


def attempt(sql, values):
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        errors.append(str(error))
        return []


def read_on():
    global place, read
    events = attempt("SELECT seq FROM outbox_unread WHERE consumer = ? ORDER BY seq LIMIT 500", (name,))
    if events:
        place, read = events[-1][0], read + len(events)
        attempt("UPDATE consumers SET acked_seq = ? WHERE name = ?", (place, name))
    return bool(events)


began = time.monotonic()
for n, (external_id, order_id) in enumerate(case["orders"]):
    time.sleep(max(0, began + n * pause - time.monotonic()))
    before = time.monotonic()
    attempt("INSERT INTO invoices (external_id, order_id) VALUES (?, ?)", (external_id, order_id))
    took.append(time.monotonic() - before)
    if n % 50 == 49:
        read_on()
inserted_s = time.monotonic() - began
# All that the others wait for as well.
while read < case["events"] and time.monotonic() - began < case["patience_s"]:
    if not read_on():
        time.sleep(0.05)
took.sort()
print(json.dumps({"errors": errors, "read": read, "inserted_s": inserted_s,
                  "p50_ms": took[len(took) // 2] * 1000, "p99_ms": took[len(took) * 99 // 100] * 1000,
                  "max_ms": took[-1] * 1000}))
