"""Payments of a shop, by SQL alone: no HTTP, no key, no library beyond Python's own (3.9 or newer).

The shop's orders stand in the shop's own database; invoices and events in payrecond's. An order is written first, its
invoice after it; a credit first, its acknowledgement after it. Whatever dies between two steps, the next start takes
the second one again, and a second time changes nothing: an external id is used once, an event id is remembered.

One `Payments` for each consumer name, in one process.
"""

import asyncio
import json
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

OPEN = ("new", "waiting")
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    external_id TEXT PRIMARY KEY,
    customer    TEXT NOT NULL,              -- Telegram user id
    goods       TEXT NOT NULL,              -- JSON, the shop's own
    amount      TEXT NOT NULL,              -- money is text
    currency    TEXT NOT NULL,
    description TEXT NOT NULL,
    timeout_s   INTEGER NOT NULL,
    state       TEXT NOT NULL DEFAULT 'new', -- new, waiting, paid, expired, cancelled, rejected, review
    reason      TEXT,
    pay_link    TEXT,
    link_given  INTEGER NOT NULL DEFAULT 0,
    late        INTEGER NOT NULL DEFAULT 0, -- paid after we had said expired or cancelled
    news        INTEGER NOT NULL DEFAULT 0, -- how often there was something to tell, and how often it was told
    told        INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS orders_by_state ON orders (state);
CREATE INDEX IF NOT EXISTS orders_untold ON orders (external_id) WHERE told < news;
CREATE TABLE IF NOT EXISTS seen_events (event_id TEXT PRIMARY KEY) WITHOUT ROWID;
-- Payments of invoices that this shop does not know: a person looks.
CREATE TABLE IF NOT EXISTS strangers (event_id TEXT PRIMARY KEY, payload TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Order:
    external_id: str
    customer: str
    goods: object
    amount: str
    currency: str
    state: str
    reason: "str | None"
    pay_link: "str | None"
    late: bool
    news: int


class NoPayLink(Exception):
    """There is no link for the order: `state` says why. When it is `new`, `payments()` tells the link later."""

    def __init__(self, state, reason):
        super().__init__(f"{state}: {reason or 'no pay link yet'}")
        self.state, self.reason = state, reason


@contextmanager
def transaction(db):
    """BEGIN IMMEDIATE waits its turn; a transaction that reads first and writes later fails at once instead."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk, for one, has undone it already
            db.execute("ROLLBACK")
        raise


class Payments:
    def __init__(self, payrecond_db, shop_db, credit, options=lambda order: {}, consumer="shop", pause_s=0.5):
        """`credit(db, order)` gives the goods in the shop's database: it runs inside the transaction that remembers the
        event, so it must not commit. When it raises, nothing is written or acknowledged, and `payments()` raises.
        `options(order)` is what the provider needs of an order beside its price, see docs/providers."""
        self._paths = payrecond_db, shop_db
        self._credit, self._options, self._consumer, self._pause_s = credit, options, consumer, pause_s
        self._awaited = set()  # orders whose `create_invoice` is going to return the link
        # SQLite blocks while it waits for a lock: not in the loop's thread. One thread, so one statement at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="payments")

    async def start(self):
        """Opens both databases and drops in what an earlier end left undone."""
        await self._in_thread(self._open)

    async def stop(self):
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def create_invoice(self, external_id, customer, goods, amount, currency, description,
                             timeout_s=3600, patience_s=15):
        """Returns the pay link. Called again with the same external id it goes on waiting for the same order's link."""
        order = {"external_id": external_id, "customer": str(int(customer)), "goods": json.dumps(goods),
                 "amount": amount, "currency": currency, "description": description, "timeout_s": timeout_s}
        self._awaited.add(external_id)
        try:
            await self._in_thread(self._add, order)
            for _ in range(int(patience_s / 0.2)):
                if link := await self._in_thread(self._give_link, external_id):
                    return link
                await asyncio.sleep(0.2)
            if link := await self._in_thread(self._give_link, external_id, True):
                return link
            raise NoPayLink("new", None)
        finally:
            self._awaited.discard(external_id)

    async def payments(self, otherwise=None):
        """Yields each order once it is paid and credited. `otherwise`, a coroutine, gets those that ended in another
        way (expired, cancelled, rejected, review), and those in state `waiting` whose link nobody has been given.

        An order is told when the loop comes back for the next: if the program ends in between, it is told again.
        Telling twice must do no harm. It is never credited twice."""
        while True:
            await self._in_thread(self._take_events)
            for order in await self._in_thread(self._untold):
                if order.state == "paid":
                    yield order
                elif otherwise:
                    await otherwise(order)
                await self._in_thread(self._told, order)
            await asyncio.sleep(self._pause_s)

    def _in_thread(self, work, *arguments):
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _open(self):
        payrecond_db, shop_db = self._paths
        # isolation_level=None: transactions begin where this file says so. timeout: busy_timeout, seconds.
        self._db = sqlite3.connect(payrecond_db, timeout=5, isolation_level=None)
        self._db.execute("PRAGMA wal_autocheckpoint = 0").fetchall()  # the daemon checkpoints
        self._db.execute("INSERT OR IGNORE INTO consumers (name) VALUES (?)", (self._consumer,))
        self._shop = sqlite3.connect(shop_db, timeout=5, isolation_level=None)
        self._shop.executescript(SCHEMA)
        self._shop.row_factory = sqlite3.Row
        # Links that came while nobody waited any more.
        self._shop.execute("UPDATE orders SET news = news + 1 WHERE state = 'waiting' AND NOT link_given")
        # Also the waiting ones: an older copy of payrecond's database, put back, may not know them.
        unfinished = self._shop.execute("SELECT * FROM orders WHERE state IN (?, ?)", OPEN).fetchall()
        for order in unfinished:
            try:
                self._drop_invoice(order)
            except NoPayLink as refusal:  # told by `payments()`
                logging.error("order %s: %s", order["external_id"], refusal)

    def _close(self):
        self._db.close()
        self._shop.close()

    def _add(self, order):
        columns = ", ".join(order)
        values = ", ".join(f":{name}" for name in order)
        with transaction(self._shop):
            self._shop.execute(f"INSERT OR IGNORE INTO orders ({columns}) VALUES ({values})", order)
            kept = self._shop.execute("SELECT * FROM orders WHERE external_id = :external_id", order).fetchone()
        if any(kept[name] != value for name, value in order.items()):
            raise ValueError(f"{order['external_id']} is another order already")
        self._drop_invoice(kept)

    def _drop_invoice(self, order):
        options = json.dumps(self._options(order))
        try:
            self._db.execute(
                "INSERT OR IGNORE INTO invoices (external_id, amount, currency, description, timeout_seconds, options)"
                " VALUES (:external_id, :amount, :currency, :description, :timeout_s, :options)",
                {**dict(order), "options": options})
        except sqlite3.IntegrityError as refusal:  # the row cannot be meant; the message names column and rule
            self._move(order, "rejected", {"reason": str(refusal)})
            raise NoPayLink("rejected", str(refusal)) from refusal

    def _give_link(self, external_id, for_the_last_time=False):
        if for_the_last_time:  # in the thread that takes the events: none falls between
            self._awaited.discard(external_id)
        found = self._db.execute("SELECT status, reason, pay_link FROM invoices WHERE external_id = ?", (external_id,))
        rows = found.fetchall()
        state, reason, link = rows[0] if rows else ("deleted", None, None)
        if not link and state not in ("requested", "pending"):
            raise NoPayLink(state, reason)
        if link:
            self._shop.execute("UPDATE orders SET link_given = 1 WHERE external_id = ?", (external_id,))
        return link

    def _take_events(self):
        unread = self._db.execute("SELECT seq, event_id, payload FROM outbox_unread WHERE consumer = ?"
                                  " ORDER BY seq LIMIT 100", (self._consumer,)).fetchall()
        for seq, event_id, payload in unread:
            with transaction(self._shop):
                new = self._shop.execute("INSERT OR IGNORE INTO seen_events VALUES (?)", (event_id,)).rowcount
                if new:
                    self._take(event_id, json.loads(payload), payload)
            # Only now: what was not committed comes again.
            self._db.execute("UPDATE consumers SET acked_seq = ? WHERE name = ?", (seq, self._consumer))

    def _take(self, event_id, event, payload):
        kind, data = event["type"], event["data"]
        external_id = data.get("external_id")
        order = self._shop.execute("SELECT * FROM orders WHERE external_id = ?", (external_id,)).fetchone()
        if kind == "audit.discrepancy" or not order:
            logging.warning("%s %s: not an order of this shop, or a difference: look at it", kind, external_id)
            if kind in ("payment.paid", "audit.discrepancy"):
                self._shop.execute("INSERT INTO strangers VALUES (?, ?)", (event_id, payload))
        elif kind == "payment.paid":
            self._move(order, "paid", data)
            self._credit(self._shop, self._order(external_id))
        elif kind == "payment.pending":
            self._move(order, "waiting", data, tell=not order["link_given"] and external_id not in self._awaited)
        elif kind in ("payment.expired", "payment.cancelled", "payment.rejected", "payment.review"):
            self._move(order, kind.split(".")[1], data)
        # payment.detailed and kinds to come change nothing here.

    def _move(self, order, state, data, tell=True):
        if order["state"] == "paid":  # final: after an older copy was put back, earlier moves may be said again
            return
        self._shop.execute(
            "UPDATE orders SET state = ?, reason = ?, pay_link = ?, late = ?, news = news + ? WHERE external_id = ?",
            (state, data.get("reason"), data.get("pay_link"), bool(data.get("late")), tell, order["external_id"]))

    def _order(self, external_id):
        row = self._shop.execute("SELECT * FROM orders WHERE external_id = ?", (external_id,)).fetchone()
        return Order(row["external_id"], row["customer"], json.loads(row["goods"]), row["amount"], row["currency"],
                     row["state"], row["reason"], row["pay_link"], bool(row["late"]), row["news"])

    def _untold(self):
        untold = self._shop.execute("SELECT external_id FROM orders WHERE told < news ORDER BY external_id").fetchall()
        return [self._order(row["external_id"]) for row in untold]

    def _told(self, order):
        self._shop.execute("UPDATE orders SET told = ?, link_given = 1 WHERE external_id = ?",
                           (order.news, order.external_id))
