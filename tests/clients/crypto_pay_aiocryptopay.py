"""Crypto Pay in the sandbox, by the package aiocryptopay: create, pay by control, read."""
import asyncio
import sys
import urllib.request

try:
    from aiocryptopay import AioCryptoPay
except ImportError:
    sys.exit(77)


def pay(base, reference):
    urllib.request.urlopen(f"{base}/sandbox/orders/{reference}/pay", data=b"")


async def main(base):
    crypto = AioCryptoPay(token="28692:any", network=base)
    try:
        assert (await crypto.get_me()).payment_processing_bot_username == "CryptoBot"
        made = await crypto.create_invoice(asset="TON", amount=1.5, payload="PY-1", expires_in=3600)
        assert made.status == "active" and made.bot_invoice_url.startswith("https://t.me/")
        fiat = await crypto.create_invoice(amount=10, fiat="USD", currency_type="fiat", accepted_assets=["USDT", "TON"])
        pay(base, made.invoice_id)
        pay(base, fiat.invoice_id)
        paid = await crypto.get_invoices(invoice_ids=[made.invoice_id, fiat.invoice_id])
        assert {invoice.status for invoice in paid} == {"paid"}, paid
        assert {invoice.invoice_id for invoice in paid} == {made.invoice_id, fiat.invoice_id}
        other = await crypto.create_invoice(asset="USDT", amount=2)
        assert await crypto.delete_invoice(other.invoice_id)
        assert any(coin.code == "TON" for coin in await crypto.get_currencies())
        assert any(float(one.available) > 0 for one in await crypto.get_balance())
    finally:
        await crypto.close()


asyncio.run(main(sys.argv[1]))
