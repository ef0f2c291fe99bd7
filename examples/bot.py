import json, sqlite3, sys, time
PRICES = {"walletpay": ("1.00", "USD"), "crypto-pay": ("1.00", "USDT"), "cryptocloud": ("1.00", "USD"), "yookassa": ("99.00", "RUB"),
          "yoomoney": ("99.00", "RUB"), "telegram-stars": ("50", "XTR")}
if len(sys.argv) < 3 or (sys.argv + [None])[3] not in {None, *PRICES}:
    sys.exit(f"usage: bot.py DATABASE EXTERNAL_ID [PROVIDER [ORDER_ID]]; PROVIDER is the account's: {', '.join(PRICES)}")
path, external_id, provider, order_id = (sys.argv + [None, None])[1:5]  # without an order id the daemon creates the order
options = json.dumps({"customerTelegramUserId": 42}) if provider in (None, "walletpay") else None
db = sqlite3.connect(path, timeout=5, isolation_level=None)  # busy_timeout 5 s; each write is a transaction
db.executescript("PRAGMA wal_autocheckpoint = 0; INSERT OR IGNORE INTO consumers (name) VALUES ('bot')")
db.execute("INSERT OR IGNORE INTO invoices (external_id, order_id, amount, currency, description, options) VALUES"
           " (?, ?, ?, ?, 'Six eggs', ?)", (external_id, order_id, *PRICES[provider or "walletpay"], options))
shop = sqlite3.connect("shop.db", isolation_level=None)  # your own database: an event is credited once
shop.execute("CREATE TABLE IF NOT EXISTS credits (event_id TEXT PRIMARY KEY, external_id TEXT)")
unread = "SELECT seq, event_id, type, external_id, payload FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq"
while not shop.execute("SELECT 1 FROM credits WHERE external_id = ?", (external_id,)).fetchone():
    for seq, event_id, event_type, who, payload in db.execute(unread + " LIMIT 100").fetchall():
        print(event_type, who, json.loads(payload)["data"]["pay_link"], flush=True)
        if event_type == "payment.paid": shop.execute("INSERT OR IGNORE INTO credits VALUES (?, ?)", (event_id, who))
        db.execute("UPDATE consumers SET acked_seq = ? WHERE name = 'bot'", (seq,))
    status, reason = db.execute("SELECT status, reason FROM invoices WHERE external_id = ?", (external_id,)).fetchone()
    if status == "rejected": sys.exit(f"{external_id} is rejected: {reason}")
    time.sleep(0.5)
print(f"{external_id} is credited")
