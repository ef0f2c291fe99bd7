# python3 examples/postgres/bot_sqlalchemy.py postgresql+psycopg://shop@localhost/shop ORD-1
# python3 examples/postgres/bot_sqlalchemy.py payrecond.db ORD-1
#
# One text of SQL for both databases. SQLAlchemy 2; with PostgreSQL psycopg 3 too.
import json
import sys
import time

from sqlalchemy import create_engine, event, text

url, external_id = sys.argv[1:3]
engine = create_engine(url if "://" in url else "sqlite:///" + url)

if engine.dialect.name == "sqlite":

    @event.listens_for(engine, "connect")
    def set_up(connection, _):
        connection.isolation_level = None  # the driver begins no transaction of its own
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the daemon runs the checkpoints

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.begin() as db:
    db.execute(text("CREATE TABLE IF NOT EXISTS shop_credited (event_id TEXT PRIMARY KEY, external_id TEXT NOT NULL)"))
    db.execute(text("CREATE TABLE IF NOT EXISTS shop_customers (id TEXT PRIMARY KEY, eggs BIGINT NOT NULL)"))
    db.execute(text("INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING"))
    # Not with a literal: SQLAlchemy reads a colon in it as the name of a parameter.
    db.execute(
        text(
            """INSERT INTO invoices (external_id, amount, currency, description, options, metadata)
               VALUES (:who, '1.00', 'USD', 'Six eggs', :options, :metadata) ON CONFLICT DO NOTHING"""
        ),
        {
            "who": external_id,
            "options": json.dumps({"customerTelegramUserId": 42}),
            "metadata": json.dumps({"customer": "42", "eggs": 6}),
        },
    )

UNREAD = text(
    """SELECT seq, event_id, type, external_id, payload FROM outbox
        WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'bot') ORDER BY seq LIMIT 100"""
)
REMEMBER = text("INSERT INTO shop_credited VALUES (:event_id, :who) ON CONFLICT DO NOTHING")
GIVE = text(
    """INSERT INTO shop_customers VALUES (:customer, :eggs)
       ON CONFLICT (id) DO UPDATE SET eggs = shop_customers.eggs + excluded.eggs"""
)
ACKNOWLEDGE = text("UPDATE consumers SET acked_seq = :seq WHERE name = 'bot'")
INVOICE = text("SELECT status, reason, pay_link FROM invoices WHERE external_id = :who")
IS_CREDITED = text("SELECT 1 FROM shop_credited WHERE external_id = :who")


def is_credited():
    with engine.begin() as db:
        return db.execute(IS_CREDITED, {"who": external_id}).first() is not None


shown_link = None
while not is_credited():
    # Credit and acknowledgement are one transaction.
    with engine.begin() as db:
        for seq, event_id, event_type, who, payload in db.execute(UNREAD).fetchall():
            print(event_type, who, flush=True)
            order = json.loads(payload)["data"].get("metadata") or {}
            if event_type == "payment.paid" and "customer" in order:
                if db.execute(REMEMBER, {"event_id": event_id, "who": who}).rowcount:
                    db.execute(GIVE, {"customer": order["customer"], "eggs": order["eggs"]})
            db.execute(ACKNOWLEDGE, {"seq": seq})
        status, reason, link = db.execute(INVOICE, {"who": external_id}).one()
    if link and link != shown_link:
        shown_link = link
        print("pay here:", link, flush=True)
    if status == "rejected":
        sys.exit(f"{external_id} is rejected: {reason}")
    time.sleep(0.5)
print("credited", external_id)
