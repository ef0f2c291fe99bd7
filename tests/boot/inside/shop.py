"""Statements of a shop, and customers who pay at the sandbox."""

import http.client
import sys


def drop(count):
    """Invoices to be made; one of them with as much of its own as an event may carry."""
    print(".bail on\nPRAGMA wal_autocheckpoint = 0;\nBEGIN IMMEDIATE;")
    for n in range(count):
        metadata = '{"n":"%s"}' % ("x" * 32000 if n == 0 else n)
        print(
            "INSERT INTO invoices (external_id, amount, currency, description, options, metadata) VALUES"
            f" ('LOAD-{n}', '1.00', 'USD', 'Six eggs', '{{\"customerTelegramUserId\": 42}}', '{metadata}');"
        )
    print("COMMIT;")


def pay(external_ids):
    sandbox = http.client.HTTPConnection("127.0.0.1", 8181, timeout=10)
    for external_id in external_ids:
        sandbox.request("POST", f"/sandbox/orders/{external_id}/pay")
        answer = sandbox.getresponse()
        body = answer.read()
        assert answer.status == 200, (external_id, answer.status, body)


command, argument = sys.argv[1:]
if command == "drop":
    drop(int(argument))
elif command == "pay":
    pay([argument])
elif command == "pay-many":
    pay(f"LOAD-{n}" for n in range(int(argument)))
