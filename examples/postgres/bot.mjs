// node examples/postgres/bot.mjs postgresql://shop@localhost/shop ORD-1      Node 18 or newer, the package pg
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

// From where it is started, so that the package may lie in your project.
const { Client } = createRequire(`${process.cwd()}/`)("pg");

const [url, externalId] = process.argv.slice(2);
const db = new Client({ connectionString: url });
await db.connect();

// The search_path of the role is "shop, payrecond": your own tables first.
await db.query("CREATE TABLE IF NOT EXISTS shop_credited (event_id text PRIMARY KEY, external_id text NOT NULL)");
await db.query("CREATE TABLE IF NOT EXISTS shop_customers (id text PRIMARY KEY, eggs bigint NOT NULL)");
await db.query("INSERT INTO consumers (name) VALUES ('bot') ON CONFLICT DO NOTHING");

// The same statement again, after a restart say, changes nothing.
await db.query(
  `INSERT INTO invoices (external_id, amount, currency, description, options, metadata)
   VALUES ($1, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', $2) ON CONFLICT DO NOTHING`,
  [externalId, JSON.stringify({ customer: "42", eggs: 6 })],
);

const unread = `SELECT seq, event_id, type, external_id, payload FROM outbox
  WHERE seq > (SELECT acked_seq FROM consumers WHERE name = 'bot') ORDER BY seq LIMIT 100`;

async function credit(event, { customer, eggs }) {
  const remembered = await db.query(
    "INSERT INTO shop_credited VALUES ($1, $2) ON CONFLICT DO NOTHING",
    [event.event_id, event.external_id],
  );
  if (remembered.rowCount === 0) return; // credited before
  await db.query(
    `INSERT INTO shop_customers VALUES ($1, $2)
     ON CONFLICT (id) DO UPDATE SET eggs = shop_customers.eggs + excluded.eggs`,
    [customer, eggs],
  );
}

// Your tables are in the same database: credit and acknowledgement are one transaction.
async function take(event) {
  console.log(event.type, event.external_id);
  const { metadata } = JSON.parse(event.payload).data;
  await db.query("BEGIN");
  try {
    if (event.type === "payment.paid" && metadata?.customer) await credit(event, metadata);
    await db.query("UPDATE consumers SET acked_seq = $1 WHERE name = 'bot'", [event.seq]); // seq is text here, as all bigint
    await db.query("COMMIT");
  } catch (error) {
    await db.query("ROLLBACK");
    throw error;
  }
}

let shownLink = null;
while ((await db.query("SELECT 1 FROM shop_credited WHERE external_id = $1", [externalId])).rowCount === 0) {
  for (const event of (await db.query(unread)).rows) await take(event);
  const invoices = await db.query("SELECT status, reason, pay_link FROM invoices WHERE external_id = $1", [externalId]);
  const { status, reason, pay_link } = invoices.rows[0];
  if (pay_link && pay_link !== shownLink) console.log("pay here:", (shownLink = pay_link));
  if (status === "rejected") throw new Error(`${externalId} is rejected: ${reason}`);
  await sleep(500);
}
console.log("credited", externalId);
await db.end();
