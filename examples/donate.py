"""A page for donations to a YooMoney wallet, with Python's own library (3.9 or newer).

    python3 examples/donate.py payrecond.db donations.db wallet 8080

A form asks for a name and a sum. payrecond builds the pay link with a label of its own (the invoice's external id), and
finds the money in the wallet's history by that label. The page credits each payment once, from the outbox. What is
credited is what arrived: YooMoney shows sums after its commission.
"""

import html
import json
import secrets
import sqlite3
import sys
import threading
import time
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

SCHEMA = """
CREATE TABLE IF NOT EXISTS donors (external_id TEXT PRIMARY KEY, name TEXT NOT NULL, received TEXT);
CREATE TABLE IF NOT EXISTS seen_events (event_id TEXT PRIMARY KEY);
"""
PAGE = """<!doctype html><meta charset="utf-8"><title>Eggs for the shelter</title>
<form method="post" action="/donate"><input name="name" placeholder="Name" required>
<input name="sum" placeholder="150.00" required> RUB <button>Donate</button></form>"""


def connect(path):
    db = sqlite3.connect(path, timeout=5, isolation_level=None)  # each statement is a transaction
    db.row_factory = sqlite3.Row
    return db


class Donations(BaseHTTPRequestHandler):
    def do_GET(self):
        donors = connect(self.server.donations).execute("SELECT name, received FROM donors WHERE received IS NOT NULL")
        thanks = "".join(f"<li>{html.escape(name)}: {received} RUB" for name, received in donors.fetchall())
        self.answer(200, f"{PAGE}<ul>{thanks}</ul>")

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        name, wanted = form.get("name", [""])[0], form.get("sum", [""])[0]
        try:
            amount = Decimal(wanted).quantize(Decimal("0.01"))  # money is never a float
        except InvalidOperation:
            amount = Decimal(0)
        if not Decimal(2) <= amount <= Decimal(100000):
            return self.answer(400, "A sum from 2.00 to 100000.00, please")
        link = self.link(name, str(amount))
        if not link:
            return self.answer(503, "No pay link yet: please try again")
        self.send_response(303)
        self.send_header("Location", link)
        self.end_headers()

    def link(self, name, amount):
        """The donor first, then the invoice: a payment whose label nobody knows cannot be thanked for."""
        label = "DON-" + secrets.token_hex(12)  # nobody can guess another's; 64 characters at most
        connect(self.server.donations).execute("INSERT INTO donors (external_id, name) VALUES (?, ?)", (label, name))
        payrecond = connect(self.server.payrecond)
        payrecond.execute("PRAGMA wal_autocheckpoint = 0").fetchall()  # the daemon checkpoints
        payrecond.execute("INSERT INTO invoices (account, external_id, amount, currency, description)"
                          " VALUES (?, ?, ?, 'RUB', 'Donation')", (self.server.account, label, amount))
        for _ in range(50):
            row = payrecond.execute("SELECT pay_link FROM invoices WHERE external_id = ?", (label,)).fetchone()
            if row["pay_link"]:
                return row["pay_link"]
            time.sleep(0.1)

    def answer(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def take_events(payrecond, donations):
    """Each event sets the sum that arrived so far: of a payment, of a second one by the same link, of a part."""
    unread = "SELECT seq, event_id, external_id, payload FROM outbox_unread WHERE consumer = 'donate' ORDER BY seq LIMIT 100"
    for event in payrecond.execute(unread).fetchall():
        received = json.loads(event["payload"])["data"].get("received")
        donations.execute("BEGIN IMMEDIATE")
        new = donations.execute("INSERT OR IGNORE INTO seen_events VALUES (?)", (event["event_id"],)).rowcount
        if new and received:
            donations.execute("UPDATE donors SET received = ? WHERE external_id = ?",
                              (received["value"], event["external_id"]))
            print(f"{event['external_id']}: {received['value']} {received['currency']}", flush=True)
        donations.execute("COMMIT")
        payrecond.execute("UPDATE consumers SET acked_seq = ? WHERE name = 'donate'", (event["seq"],))


def watch(server):
    payrecond, donations = connect(server.payrecond), connect(server.donations)
    payrecond.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    payrecond.execute("INSERT OR IGNORE INTO consumers (name) VALUES ('donate')")
    while True:
        take_events(payrecond, donations)
        time.sleep(0.5)


def main(payrecond_db, donations_db, account, port):
    connect(donations_db).executescript(SCHEMA)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Donations)
    server.payrecond, server.donations, server.account = payrecond_db, donations_db, account
    threading.Thread(target=watch, args=[server], daemon=True).start()
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


main(*sys.argv[1:5])
