"""Telegram Stars in the sandbox, by the package pyTelegramBotAPI: make a link, pay by control, read the ledger."""
import json
import sys
import urllib.request

try:
    import telebot
    from telebot import apihelper
    from telebot.types import LabeledPrice
except ImportError:
    sys.exit(77)


def main(base):
    apihelper.API_URL = base + "/bot{0}/{1}"
    bot = telebot.TeleBot("123456789:AAtoken", threaded=False)
    assert bot.get_me().is_bot
    link = bot.create_invoice_link("Eggs", "Six eggs", "PY-5", "", "XTR", [LabeledPrice("Eggs", 100)])
    assert link.startswith("https://t.me/$")
    body = {"provider": "telegram-stars", "external_id": "PY-5", "amount": "100"}
    urllib.request.urlopen(f"{base}/sandbox/transactions", data=json.dumps(body).encode())
    [payment] = bot.get_star_transactions().transactions
    assert (payment.amount, payment.source.invoice_payload) == (100, "PY-5")
    assert bot.refund_star_payment(123456789, payment.id)
    assert [one.id for one in bot.get_star_transactions(offset=1).transactions] == [payment.id]


main(sys.argv[1])
