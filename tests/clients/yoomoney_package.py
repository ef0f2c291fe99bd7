"""YooMoney in the sandbox, by the package yoomoney: pay by control, read the history and the details."""
import json
import sys
import urllib.request
from datetime import datetime

try:
    from yoomoney import Client
    from yoomoney.exceptions import IllegalParamFromDate
except ImportError:
    sys.exit(77)


def pay(base, external_id, amount, via):
    body = {"provider": "yoomoney", "external_id": external_id, "amount": amount, "via": via}
    answer = urllib.request.urlopen(f"{base}/sandbox/transactions", data=json.dumps(body).encode())
    return json.load(answer)["transactionId"]


def main(base):
    client = Client("410012345678901.TOKEN", base_url=base + "/api/")
    assert client.account_info().account.startswith("41001")
    by_card = pay(base, "PY-1", "150.00", "card")
    by_wallet = pay(base, "PY-2", "1000", "wallet")
    newest, oldest = client.operation_history(type="deposition", records=2).operations
    assert (newest.operation_id, newest.label, newest.amount) == (by_wallet, "PY-2", 990.09)
    assert (oldest.operation_id, oldest.type, oldest.amount) == (by_card, "deposition", 145.5)
    [found] = client.operation_history(label="PY-1").operations
    assert (found.operation_id, found.status) == (by_card, "success")
    page = client.operation_history(records=1)
    assert page.next_record == "1"
    [second] = client.operation_history(start_record="1", records=1).operations
    assert second.operation_id == by_card
    assert client.operation_details(by_card).amount == 145.5
    # The package writes times without padding and zone, which the service has refused since April 2026.
    try:
        client.operation_history(from_date=datetime(2026, 4, 5, 3, 7, 9))
    except IllegalParamFromDate:
        return
    raise AssertionError("a time without a zone was accepted")


main(sys.argv[1])
