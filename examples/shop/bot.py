"""A shop that sells eggs, in the shape of an aiogram bot; it needs none to run: here the chat is this terminal.

    python3 examples/shop/bot.py payrecond.db shop.db [PROVIDER]

PROVIDER is that of the account `default` of payrecond's configuration: `walletpay` (the default), `crypto-pay`,
`yookassa`, `cryptocloud`, `telegram-stars` or `yoomoney`. Nothing but price and options depends on it.

Type `<user> <message number> <text>`, such as `42 1 /buy 6`. With aiogram, `Message` is `aiogram.types.Message`, `buy`
is registered by `@router.message(Command("buy"))`, `say` is `bot.send_message`, and `dispatcher.start_polling(bot)`
stands in place of `chat`.
"""

import asyncio
import sys
from dataclasses import dataclass
from decimal import Decimal

from payments import NoPayLink, Payments

# What an egg costs; never a float.
PRICES = {
    "walletpay": (Decimal("0.20"), "USD"),
    "crypto-pay": (Decimal("0.20"), "USDT"),
    "cryptocloud": (Decimal("0.20"), "USD"),
    "yookassa": (Decimal("15.00"), "RUB"),
    "yoomoney": (Decimal("15.00"), "RUB"),
    "telegram-stars": (Decimal("10"), "XTR"),
}
PROVIDER = (sys.argv + ["walletpay"])[3]
PRICE, CURRENCY = PRICES[PROVIDER]


def options(order):
    return {"customerTelegramUserId": int(order["customer"])} if PROVIDER == "walletpay" else {}


@dataclass
class Message:
    user: str
    number: str
    text: str

    async def answer(self, text):
        await say(self.user, text)


async def say(user, text):
    print(f"to {user}: {text}", flush=True)


def credit(db, order):
    """Inside the transaction of the event: the shop's own tables, and nothing that cannot be undone."""
    db.execute("CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL)")
    db.execute("INSERT INTO customers VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs",
               (order.customer, order.goods["eggs"]))


async def buy(message, payments):
    eggs = message.text.partition(" ")[2]
    if not eggs.isdecimal() or not int(eggs):
        return await message.answer("How many? /buy 6")
    # Made of the message: an update that Telegram sends twice is the same order, not a second one.
    external_id = f"EGGS-{message.user}-{message.number}"
    try:
        link = await payments.create_invoice(external_id, message.user, {"eggs": int(eggs)}, str(PRICE * int(eggs)),
                                             CURRENCY, f"Eggs: {eggs}")
        await message.answer(f"{external_id}: pay here: {link}")
    except NoPayLink as none:
        if none.state == "new":
            await message.answer("One moment, the link will come.")
        # All else is said by `tell_other`, also after a restart.


async def tell_payments(payments):
    async for order in payments.payments(otherwise=tell_other):
        late = ", late but welcome" if order.late else ""
        await say(order.customer, f"{order.external_id}: {order.amount} {order.currency} paid{late}")


async def tell_other(order):
    if order.state == "review":  # the customer cannot help it: a person of the shop looks, see `payrecond why`
        return await say("operator", f"{order.external_id}: review: {order.reason}")
    if order.state == "waiting":  # the link came after we had stopped waiting for it
        return await say(order.customer, f"{order.external_id}: pay here: {order.pay_link}")
    await say(order.customer, f"{order.external_id}: {order.state}")


async def chat(payments):
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    handlers = set()  # the loop itself keeps no firm hold of a task
    async for line in lines:
        user, number, text = (line.decode().strip().split(" ", 2) + ["", ""])[:3]
        if text.startswith("/buy"):
            handler = asyncio.create_task(buy(Message(user, number, text), payments))
            handlers.add(handler)
            handler.add_done_callback(handlers.discard)


async def main():
    payments = Payments(sys.argv[1], sys.argv[2], credit, options)
    await payments.start()
    try:
        # When one of them fails, the bot ends loudly: started again, it goes on where it was.
        await asyncio.gather(tell_payments(payments), chat(payments))
    finally:
        await payments.stop()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
