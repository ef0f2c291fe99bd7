"""What a bot developer would write: every order that is open is asked about, 32 at once, and what
was heard is written into SQLite. Arguments: base URL, database, number of orders."""

import asyncio
import sqlite3
import sys

from telegram_wallet_pay import TelegramWalletPay

IN_FLIGHT = 32


async def main(url: str, database: str) -> None:
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    client = TelegramWalletPay(token="bench", api_host=url)
    orders = iter(db.execute("SELECT id FROM orders WHERE status = 'ACTIVE'").fetchall())

    async def worker() -> None:
        for (order_id,) in orders:
            preview = (await client.get_order_preview(order_id)).data
            db.execute(
                "UPDATE orders SET status = ?, checked_at = unixepoch() WHERE id = ?",
                (preview.status, order_id),
            )

    # One transaction: the loop is compared for what it asks, not for what its commits cost.
    db.execute("BEGIN")
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    db.execute("COMMIT")
    await client.close()


asyncio.run(main(sys.argv[1], sys.argv[2]))
