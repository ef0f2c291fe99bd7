// Credits each payment once, from the stream: node credit.mjs nats://127.0.0.1:4222 shop.db
// Node 22.13 or newer; npm install @nats-io/transport-node @nats-io/jetstream
import { createRequire } from "node:module";
import { DatabaseSync } from "node:sqlite";

// From where it is started, so that the packages may lie in your project.
const require = createRequire(`${process.cwd()}/`);
const { connect } = require("@nats-io/transport-node");
const { AckPolicy, jetstream, jetstreamManager } = require("@nats-io/jetstream");

const [servers, path] = process.argv.slice(2);
const shop = new DatabaseSync(path);
shop.exec(`PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS credits (event_id TEXT PRIMARY KEY, order_ref TEXT NOT NULL, amount TEXT)`);
const add = shop.prepare("INSERT INTO credits VALUES (?, ?, ?) ON CONFLICT DO NOTHING");

// True when this payment was not credited before. The event's id decides, for ever.
function credit(event) {
  const amount = event.data.amount?.value ?? null; // ids and money are strings: nothing is rounded
  return add.run(event.id, event.subject, amount).changes > 0;
}

const server = await connect({ servers, name: "shop", maxReconnectAttempts: -1 });
const manager = await jetstreamManager(server);
await manager.consumers.add("PAYMENTS", {
  durable_name: "shop",
  filter_subject: "payments.*.paid",
  ack_policy: AckPolicy.Explicit,
});
const payments = await jetstream(server).consumers.get("PAYMENTS", "shop");
for await (const message of await payments.consume()) {
  const event = message.json();
  console.log(credit(event) ? "credited" : "known", event.subject);
  message.ack(); // after the commit: killed before it, the event comes again and is known
}
