"""Credits each payment once, from the stream: python3 credit.py nats://127.0.0.1:4222 shop.db"""
import asyncio, json, sqlite3, sys
import nats  # pip install nats-py
from nats.js.api import AckPolicy, ConsumerConfig

shop = sqlite3.connect(sys.argv[2])
shop.execute("CREATE TABLE IF NOT EXISTS credits (event_id TEXT PRIMARY KEY, order_ref TEXT NOT NULL, amount TEXT)")

def credit(event):
    """True when this payment was not credited before. The event's id decides, for ever."""
    amount = (event["data"]["amount"] or {}).get("value")  # text: a float loses cents
    with shop:
        added = shop.execute("INSERT INTO credits VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (event["id"], event["subject"], amount))
    return added.rowcount == 1

async def main():
    server = await nats.connect(sys.argv[1], name="shop")
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=30)
    payments = await server.jetstream().pull_subscribe("payments.*.paid", durable="shop", stream="PAYMENTS", config=config)
    while True:
        try:
            messages = await payments.fetch(100, timeout=5)
        except (asyncio.TimeoutError, nats.js.errors.ServiceUnavailableError):
            continue  # nothing new, or no server for now
        for message in messages:
            event = json.loads(message.data)
            print("credited" if credit(event) else "known", event["subject"], flush=True)
            await message.ack()  # after the commit: killed before it, the event comes again and is known

asyncio.run(main())
