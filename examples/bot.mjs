// node examples/bot.mjs payrecond.db ORD-1      Node 22.13 or newer; from 22.5 on with --experimental-sqlite
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const [path, externalId] = process.argv.slice(2);
const db = new DatabaseSync(path);
db.exec("PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 0"); // the daemon checkpoints
db.exec("INSERT OR IGNORE INTO consumers (name) VALUES ('bot')");
const shop = new DatabaseSync("shop.db"); // your own database
shop.exec(`PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS credited (event_id TEXT PRIMARY KEY, external_id TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL)`);

// The same statement again, after a restart say, changes nothing.
const dropIn = db.prepare(`INSERT OR IGNORE INTO invoices
  (external_id, amount, currency, description, options, metadata)
  VALUES (?, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"customer": "42", "eggs": 6}')`);
dropIn.run(externalId);

const invoice = db.prepare("SELECT status, reason, pay_link FROM invoices WHERE external_id = ?");
const unread = db.prepare(`SELECT seq, event_id, type, external_id, payload FROM outbox_unread
  WHERE consumer = 'bot' ORDER BY seq LIMIT 100`);
const acknowledge = db.prepare("UPDATE consumers SET acked_seq = ? WHERE name = 'bot'");
const isCredited = shop.prepare("SELECT 1 FROM credited WHERE external_id = ?");
const remember = shop.prepare("INSERT OR IGNORE INTO credited VALUES (?, ?)");
const give = shop.prepare(`INSERT INTO customers VALUES (?, ?)
  ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs`);

// The event's id and what it gives are written together or not at all; a known id gives nothing.
function credit(eventId, who, { customer, eggs }) {
  shop.exec("BEGIN IMMEDIATE");
  try {
    if (remember.run(eventId, who).changes > 0) give.run(customer, eggs);
    shop.exec("COMMIT");
  } catch (error) {
    shop.exec("ROLLBACK");
    throw error;
  }
}

let shownLink = null;
while (!isCredited.get(externalId)) {
  for (const event of unread.all()) { // all rows at once: no cursor stays open
    console.log(event.type, event.external_id);
    const { metadata } = JSON.parse(event.payload).data;
    if (event.type === "payment.paid" && metadata?.customer) credit(event.event_id, event.external_id, metadata);
    acknowledge.run(event.seq); // after the credit is committed, never before
  }
  const { status, reason, pay_link } = invoice.get(externalId);
  if (pay_link && pay_link !== shownLink) console.log("pay here:", (shownLink = pay_link));
  if (status === "rejected") throw new Error(`${externalId} is rejected: ${reason}`);
  await sleep(500);
}
console.log("credited", externalId);
