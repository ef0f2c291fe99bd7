"""Wallet Pay in the sandbox, by the package telegram-wallet-pay: create, pay by control, read."""
import asyncio
import sys
import urllib.request

try:
    from telegram_wallet_pay import TelegramWalletPay
except ImportError:
    sys.exit(77)


async def main(base):
    wallet = TelegramWalletPay("any key", api_host=base)
    try:
        made = await wallet.create_order(amount=1, currency_code="USD", description="Six eggs", external_id="PY-4",
                                         timeout_seconds=900, customer_telegram_user_id=42)
        urllib.request.urlopen(f"{base}/sandbox/orders/{made.data.id}/pay", data=b"")
        seen = await wallet.get_preview(order_id=str(made.data.id))
        assert seen.data.status == "PAID", seen
    finally:
        await wallet.close()


asyncio.run(main(sys.argv[1]))
