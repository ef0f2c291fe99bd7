<?php
// php examples/bot.php payrecond.db ORD-1      PHP 8.1 or newer with PDO's SQLite (Debian: php-cli, php-sqlite3)
declare(strict_types=1);

function open_database(string $path): PDO
{
    $db = new PDO("sqlite:$path", options: [PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_OBJ]); // errors are exceptions
    $db->exec('PRAGMA busy_timeout = 5000');
    return $db;
}

function rows(PDO $db, string $sql, string ...$values): array
{
    $statement = $db->prepare($sql);
    $statement->execute($values);
    $rows = $statement->fetchAll();
    $statement->closeCursor(); // an open SELECT keeps the database's log from being emptied
    return $rows;
}

// The event's id and what it gives are written together or not at all; a known id gives nothing.
function credit(PDO $shop, object $event, object $metadata): void
{
    $shop->exec('BEGIN IMMEDIATE'); // beginTransaction() would take the lock too late
    try {
        $remember = $shop->prepare('INSERT OR IGNORE INTO credited VALUES (?, ?)');
        $remember->execute([$event->event_id, $event->external_id]);
        if ($remember->rowCount() > 0) {
            $give = 'INSERT INTO customers VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET eggs = eggs + excluded.eggs';
            $shop->prepare($give)->execute([$metadata->customer, $metadata->eggs]);
        }
        $shop->exec('COMMIT');
    } catch (Throwable $error) {
        $shop->exec('ROLLBACK');
        throw $error;
    }
}

[, $path, $external_id] = $argv;
$db = open_database($path);
$db->exec('PRAGMA wal_autocheckpoint = 0'); // the daemon checkpoints
$db->exec("INSERT OR IGNORE INTO consumers (name) VALUES ('bot')");
$shop = open_database('shop.db'); // your own database
$shop->exec('CREATE TABLE IF NOT EXISTS credited (event_id TEXT PRIMARY KEY, external_id TEXT NOT NULL)');
$shop->exec('CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, eggs INTEGER NOT NULL)');

// The same statement again, after a restart say, changes nothing.
$db->prepare(<<<'SQL'
    INSERT OR IGNORE INTO invoices (external_id, amount, currency, description, options, metadata)
    VALUES (?, '1.00', 'USD', 'Six eggs', '{"customerTelegramUserId": 42}', '{"customer": "42", "eggs": 6}')
    SQL)->execute([$external_id]);

$unread = "SELECT seq, event_id, type, external_id, payload FROM outbox_unread
    WHERE consumer = 'bot' ORDER BY seq LIMIT 100";
$shown_link = null;
while (!rows($shop, 'SELECT 1 FROM credited WHERE external_id = ?', $external_id)) {
    foreach (rows($db, $unread) as $event) {
        echo "$event->type $event->external_id\n";
        $metadata = json_decode($event->payload)->data->metadata;
        if ($event->type === 'payment.paid' && isset($metadata->customer)) {
            credit($shop, $event, $metadata);
        }
        // After the credit is committed, never before.
        $db->prepare("UPDATE consumers SET acked_seq = ? WHERE name = 'bot'")->execute([$event->seq]);
    }
    [$invoice] = rows($db, 'SELECT status, reason, pay_link FROM invoices WHERE external_id = ?', $external_id);
    if ($invoice->pay_link !== $shown_link) {
        echo "pay here: $invoice->pay_link\n";
        $shown_link = $invoice->pay_link;
    }
    if ($invoice->status === 'rejected') {
        throw new RuntimeException("$external_id is rejected: $invoice->reason");
    }
    usleep(500_000);
}
echo "credited $external_id\n";
