# python3 examples/postgres/bot.py postgresql://shop@localhost/shop ORD-1      Python 3.8 or newer, psycopg 3
import json
import sys
import time

import psycopg

url, external_id = sys.argv[1:3]

# The search_path of the role is "shop, payrecond": your own tables first.
db = psycopg.connect(url, autocommit=True)
db.execute("CREATE TABLE IF NOT EXISTS shop_credited (event_id text PRIMARY KEY, external_id text NOT NULL)")
db.execute("CREATE TABLE IF NOT EXISTS shop_customers (id text PRIMARY KEY, eggs bigint NOT NULL)")
db.execute("INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING")

# The same statement again, after a restart say, changes nothing.
db.execute(
    """INSERT INTO invoices (external_id, amount, currency, description, options, metadata)
       VALUES (%s, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', %s) ON CONFLICT DO NOTHING""",
    (external_id, json.dumps({"customer": "42", "eggs": 6})),
)

UNREAD = """SELECT seq, event_id, type, external_id, payload FROM outbox
             WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'bot') ORDER BY seq LIMIT 100"""


def credit(event_id, who, order):
    """Gives the eggs, unless this event was credited before."""
    remembered = db.execute(
        "INSERT INTO shop_credited VALUES (%s, %s) ON CONFLICT DO NOTHING", (event_id, who)
    )
    if remembered.rowcount:
        db.execute(
            """INSERT INTO shop_customers VALUES (%s, %s)
               ON CONFLICT (id) DO UPDATE SET eggs = shop_customers.eggs + excluded.eggs""",
            (order["customer"], order["eggs"]),
        )


shown_link = None
while not db.execute("SELECT 1 FROM shop_credited WHERE external_id = %s", (external_id,)).fetchone():
    for seq, event_id, event_type, who, payload in db.execute(UNREAD).fetchall():
        print(event_type, who, flush=True)
        order = json.loads(payload)["data"].get("metadata") or {}
        # Your tables are in the same database: credit and acknowledgement are one transaction.
        with db.transaction():
            if event_type == "payment.paid" and "customer" in order:
                credit(event_id, who, order)
            db.execute("UPDATE consumers SET acked_seq = %s WHERE name = 'bot'", (seq,))
    invoice = "SELECT status, reason, pay_link FROM invoices WHERE external_id = %s"
    status, reason, link = db.execute(invoice, (external_id,)).fetchone()
    if link and link != shown_link:
        shown_link = link
        print("pay here:", link, flush=True)
    if status == "rejected":
        sys.exit(f"{external_id} is rejected: {reason}")
    time.sleep(0.5)
print("credited", external_id)
