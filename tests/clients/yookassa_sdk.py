"""YooKassa in the sandbox, by the provider's package yookassa: create, pay by control, read, refund."""
import sys
import urllib.request
import uuid

try:
    from yookassa import Configuration, Payment, Refund
except ImportError:
    sys.exit(77)


def control(base, reference, action, body=b""):
    urllib.request.urlopen(f"{base}/sandbox/orders/{reference}/{action}", data=body)


def main(base):
    Configuration.configure("100500", "test_key", api_url=base + "/v3")
    key = str(uuid.uuid4())
    terms = {
        "amount": {"value": "200.00", "currency": "RUB"},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": "https://example.com/"},
        "description": "Six eggs",
        "metadata": {"external_id": "PY-3"},
    }
    made = Payment.create(terms, key)
    assert made.status == "pending" and made.confirmation.confirmation_url.startswith("https://")
    assert Payment.create(terms, key).id == made.id
    control(base, made.id, "pay")
    paid = Payment.find_one(made.id)
    assert paid.status == "succeeded" and paid.paid and str(paid.income_amount.value) == "193.00"
    refund = Refund.create({"payment_id": made.id, "amount": {"value": "50.00", "currency": "RUB"}}, str(uuid.uuid4()))
    assert refund.status == "succeeded"
    assert str(Payment.find_one(made.id).refunded_amount.value) == "50.00"
    terms["capture"] = False
    held = Payment.create(terms, str(uuid.uuid4()))
    control(base, held.id, "pay")
    assert Payment.find_one(held.id).status == "waiting_for_capture"
    assert Payment.capture(held.id).status == "succeeded"
    page = Payment.list({"limit": 1, "status": "succeeded"})
    assert len(page.items) == 1 and page.next_cursor
    assert len(Refund.list({"payment_id": made.id}).items) == 1


main(sys.argv[1])
