#!/usr/bin/env bash
# The package installs as on a machine where nobody has been: a user, directories, an enabled unit that is not
# started without a key.
# shellcheck source=tests/boot/inside/lib.sh
source /srv/boot/lib.sh

refused id payrecond
dpkg --install /srv/boot/old.deb >/tmp/said 2>&1
grep -q "not started: put the store's API key into $KEY_FILE" /tmp/said || fail "it does not say what is missing"

equal "the version" 0.0.1-1 "$(dpkg-query --show --showformat='${Version}' payrecond)"
equal "the database's directory" "2770 payrecond payrecond" "$(stat -c '%a %U %G' /var/lib/payrecond)"
equal "the database" "660 payrecond payrecond" "$(stat -c '%a %U %G' "$DATABASE")"
equal "enabled" enabled "$(systemctl is-enabled "$UNIT")"
equal "state without a key" inactive "$(property ActiveState)"
equal "the feed's socket" disabled "$(systemctl is-enabled payrecond-feed.socket || true)"
[[ -s /usr/share/man/man1/payrecond-feed.1.gz ]] || fail "no man pages"
payrecond --version >/dev/null
[[ -s /usr/share/bash-completion/completions/payrecond ]] || fail "no completions"

# Started all the same, it says so once and stays down.
refused systemctl start "$UNIT"
equal "status without a key" 78 "$(property ExecMainStatus)"
equal "what becomes of it" failed "$(property SubState)"
systemctl reset-failed "$UNIT"
