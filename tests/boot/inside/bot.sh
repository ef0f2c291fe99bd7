#!/usr/bin/env bash
# The key reaches the daemon as a credential, and a program in the group drops in an invoice by SQL.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

useradd --system --user-group --groups payrecond bot
useradd --system --user-group stranger
systemd-run --quiet --unit=sandbox payrecond sandbox --latency 0ms --api-key the-key
settings ''
install -m 600 <(echo the-key) "$KEY_FILE"

# Returns when READY=1 was told.
systemctl start "$UNIT"
equal "state" running "$(property SubState)"
[[ $(property StatusText) ]] || fail "it tells no status"
equal "who runs it" payrecond "$(ps -o user= -p "$(property MainPID)")"
refused as payrecond cat "$KEY_FILE"
refused as stranger sqlite3 "$DATABASE" "SELECT 1 FROM invoices"

# The command of docs/operations.md: the key is found as the service finds it.
checked=$(systemd-run --pipe --wait --collect --quiet \
    -p User=payrecond -p WorkingDirectory=/var/lib/payrecond \
    -p LoadCredential=default.key:/etc/payrecond/walletpay.key \
    payrecond --config /etc/payrecond/payrecond.toml check)
[[ $checked == *"API key accepted"*"read from credential"* ]] || fail "check as the service: $checked"

sql "INSERT INTO invoices (external_id, amount, currency, description, options)
     VALUES ('BOT-1', '1.00', 'USD', 'Six eggs', '{\"customerTelegramUserId\": 42}')"
# The sandbox takes the right key alone: an order that exists shows that the credential was read.
await "a pay link" sql_is "SELECT pay_link > '' FROM invoices WHERE external_id = 'BOT-1'" 1
python3 /srv/boot/shop.py pay BOT-1
await "the payment" sql_is "SELECT status FROM invoices WHERE external_id = 'BOT-1'" paid
