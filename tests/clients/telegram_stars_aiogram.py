"""Telegram Stars in the sandbox, by the package aiogram: make a link, pay by control, read the ledger, refund."""
import asyncio
import json
import sys
import urllib.request

try:
    from aiogram import Bot
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer
    from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
    from aiogram.types import LabeledPrice
except ImportError:
    sys.exit(77)

PAYER = 123456789


def pay(base, external_id, amount):
    body = {"provider": "telegram-stars", "external_id": external_id, "amount": amount}
    answer = urllib.request.urlopen(f"{base}/sandbox/transactions", data=json.dumps(body).encode())
    return json.load(answer)["transactionId"]


async def main(base):
    session = AiohttpSession(api=TelegramAPIServer.from_base(base))
    async with Bot("123456789:AAtoken", session=session) as bot:
        assert (await bot.get_me()).is_bot
        terms = {"title": "Eggs", "description": "Six eggs", "payload": "PY-1", "currency": "XTR"}
        link = await bot.create_invoice_link(**terms, prices=[LabeledPrice(label="Eggs", amount=100)])
        assert link.startswith("https://t.me/$")
        charge = pay(base, "PY-1", "100")
        pay(base, "PY-2", "7")
        assert await bot.refund_star_payment(PAYER, charge)
        first, second, refund = (await bot.get_star_transactions()).transactions
        assert (first.id, first.amount, first.source.invoice_payload) == (charge, 100, "PY-1")
        assert second.source.transaction_type == "invoice_payment"
        assert (refund.id, refund.source, refund.receiver.invoice_payload) == (charge, None, "PY-1")
        assert (await bot.get_star_transactions(offset=3)).transactions == []
        assert (await bot.get_my_star_balance()).amount == 7
        for refused, kind in [
            (bot.refund_star_payment(PAYER, charge), TelegramBadRequest),
            # The sandbox has the bot's updates taken already.
            (bot.get_updates(), TelegramConflictError),
        ]:
            try:
                await refused
            except kind:
                continue
            raise AssertionError(kind)


asyncio.run(main(sys.argv[1]))
