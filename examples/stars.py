"""A Telegram bot that sells eggs for Stars, in the shape of an aiogram bot; it needs none to run: here the chat is this
terminal. Python 3.9 or newer.

    python3 examples/stars.py payrecond.db shop.db stars

Type `42 1 /buy 6` (user, message number, text), and `42 1 checkout` when the user presses the pay button. With aiogram,
`buy` is registered by `@router.message(Command("buy"))`, `approve` by `@router.pre_checkout_query()`, and `send_invoice`
and `say` are the bot's methods. There is no handler of `successful_payment`: payrecond finds the money in the bot's
ledger, whether that message came or not, and the bot credits it from the outbox.
"""

import sqlite3
import sys
import threading
import time

PRICE = 10  # Stars an egg
SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (external_id TEXT PRIMARY KEY, customer TEXT NOT NULL, eggs INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen_events (event_id TEXT PRIMARY KEY);
"""


def connect(path):
    db = sqlite3.connect(path, timeout=5, isolation_level=None)  # each statement is a transaction
    db.row_factory = sqlite3.Row
    return db


def say(user, text):
    print(f"to {user}: {text}", flush=True)


def send_invoice(user, payload, title, amount):
    """bot.send_invoice(user, title, title, payload, "XTR", [LabeledPrice(label=title, amount=amount)])"""
    say(user, f"invoice {payload}: {title}, {amount} XTR")


def buy(payrecond, shop, account, user, message, eggs):
    """The order first, then the row that payrecond follows, then the invoice. Each may be done twice."""
    external_id, amount = f"EGGS-{user}-{message}", PRICE * eggs
    shop.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", (external_id, user, eggs))
    payrecond.execute("INSERT OR IGNORE INTO invoices (account, external_id, amount, currency, status, timeout_seconds)"
                      " VALUES (?, ?, ?, 'XTR', 'pending', 3600)", (account, external_id, str(amount)))
    send_invoice(user, external_id, f"Eggs: {eggs}", amount)


def approve(payrecond, account, payload):
    """Whether the invoice may be paid, within Telegram's 10 seconds: answer_pre_checkout_query(ok=...). An invoice can be
    paid several times and by anyone, so what is paid or over is refused here."""
    row = payrecond.execute("SELECT 1 FROM invoices WHERE account = ? AND external_id = ? AND status = 'pending'"
                            " AND created_at / 1000 + timeout_seconds > ?", (account, payload, time.time())).fetchone()
    return row is not None


def take_events(payrecond, shop):
    """Credits what was paid: once, because the event's id is written with the credit, and acknowledged after it."""
    unread = "SELECT seq, event_id, type, external_id FROM outbox_unread WHERE consumer = 'stars' ORDER BY seq LIMIT 100"
    for event in payrecond.execute(unread).fetchall():
        order = shop.execute("SELECT * FROM orders WHERE external_id = ?", (event["external_id"],)).fetchone()
        sign = {"payment.paid": 1, "payment.refunded": -1}.get(event["type"], 0)  # Stars are returned whole
        if order and sign:
            shop.execute("BEGIN IMMEDIATE")
            new = shop.execute("INSERT OR IGNORE INTO seen_events VALUES (?)", (event["event_id"],)).rowcount
            if new:
                shop.execute("INSERT INTO customers VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs",
                             (order["customer"], sign * order["eggs"]))
            shop.execute("COMMIT")
            if new:
                say(order["customer"], f"{event['type']} {event['external_id']}")
        elif event["type"] != "payment.pending":
            say("operator", f"{event['type']} {event['external_id']}")  # paid twice, expired, a person must decide
        payrecond.execute("UPDATE consumers SET acked_seq = ? WHERE name = 'stars'", (event["seq"],))


def watch(paths):
    payrecond, shop = map(connect, paths)
    payrecond.execute("PRAGMA wal_autocheckpoint = 0").fetchall()  # the daemon checkpoints
    payrecond.execute("INSERT OR IGNORE INTO consumers (name) VALUES ('stars')")
    while True:
        take_events(payrecond, shop)
        time.sleep(0.5)


def main(payrecond_db, shop_db, account):
    payrecond, shop = connect(payrecond_db), connect(shop_db)
    payrecond.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    shop.executescript(SCHEMA)
    threading.Thread(target=watch, args=[(payrecond_db, shop_db)], daemon=True).start()
    for line in sys.stdin:
        user, message, text = line.strip().split(" ", 2)
        if text == "checkout":
            ok = approve(payrecond, account, f"EGGS-{user}-{message}")
            say(user, "go on" if ok else "this invoice cannot be paid any more")
        elif text.startswith("/buy "):
            buy(payrecond, shop, account, user, message, int(text.partition(" ")[2]))


main(*sys.argv[1:4])
