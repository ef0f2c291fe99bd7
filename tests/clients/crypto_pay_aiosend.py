"""Crypto Pay in the sandbox, by the package aiosend: create, pay by control, read."""
import asyncio
import sys
import urllib.request

try:
    from aiosend import CryptoPay
    from aiosend.client import Network
except ImportError:
    sys.exit(77)


async def main(base):
    crypto = CryptoPay("28692:any", Network(name="SANDBOX", base=base + "/api/{method}"))
    made = await crypto.create_invoice(1.5, "TON", payload="PY-2", swap_to="USDT")
    assert made.status == "active" and made.payload == "PY-2"
    urllib.request.urlopen(f"{base}/sandbox/orders/{made.invoice_id}/pay", data=b"")
    paid = (await crypto.get_invoices(invoice_ids=[made.invoice_id]))[0]
    assert paid.status == "paid" and paid.paid_amount == 1.5 and paid.fee_amount == 0.045, paid
    assert paid.is_swapped is True and paid.swapped_to == "USDT"
    assert (await crypto.get_stats()).paid_invoice_count >= 1


asyncio.run(main(sys.argv[1]))
