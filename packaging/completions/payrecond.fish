# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_payrecond_global_optspecs
    string join \n config= h/help V/version
end

function __fish_payrecond_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_payrecond_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_payrecond_using_subcommand
    set -l cmd (__fish_payrecond_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c payrecond -n "__fish_payrecond_needs_command" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_needs_command" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_needs_command" -s V -l version -d 'Print version'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "init" -d 'Write a first configuration file, and say what to do next'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "migrate" -d 'Create or upgrade the database'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "check" -d 'Check the configuration, the database, the clock, each account\'s API key and the NATS stream'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "run" -d 'Run the daemon in the foreground; stdout is the feed of events'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "add" -d 'Insert an invoice'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "list" -d 'List invoices, newest first'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "show" -d 'Show one invoice with its events and transactions'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "why" -d 'Explain the status of an invoice and when it is polled next'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "nudge" -d 'Poll an invoice as soon as the account\'s rate limit allows'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "resolve" -d 'Decide an invoice in review'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "feed" -d 'Print the events of the outbox'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "publish" -d 'Publish the events into NATS JetStream, without a daemon'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "stats" -d 'Show counts by status, overdue polls, lag of consumers, time to detect'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "top" -d 'Watch invoices, accounts and events live in the terminal'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "audit" -d 'Compare all invoices with the provider\'s own records, in both directions'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "backup" -d 'Write a consistent copy of the database, also while the daemon runs'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "restore" -d 'Put a backup in place, with a new epoch'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "copy" -d 'Copy an SQLite database to a PostgreSQL server, and compare every row'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "demo" -d 'Show payrecond at work on a temporary database, without an API key or network'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "sandbox" -d 'Simulate the payment providers on loopback, for tests of your own programs'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c payrecond -n "__fish_payrecond_using_subcommand init" -l provider -d 'The payment provider' -r -f -a "walletpay\t''
crypto-pay\t''
yookassa\t''
cryptocloud\t''
telegram-stars\t''
yoomoney\t''"
complete -c payrecond -n "__fish_payrecond_using_subcommand init" -l output -d 'The file to write; must not exist' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand init" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand init" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -l once -d 'Poll everything that is due now, write the feed, and exit; exit code 1 when some requests failed'
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l account -d 'The account of the invoice' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l external-id -d 'Your id of the order, unique within the account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l order-id -d 'The provider\'s id of an existing order; without it, payrecond creates the order' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l amount -d 'The amount to be paid, a plain decimal such as 1.00' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l currency -d 'The amount\'s currency, such as USD' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l description -d 'The description shown to the payer' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l timeout -d 'How long the order can be paid, such as 15m or 1h [default: 24h]' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l options -d 'The provider\'s own fields for creating the order, a JSON object' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l metadata -d 'Any JSON; every event contains it' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l follow -d 'You created the order yourself, and it is found by its external id (label, payload)'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l status -d 'Only invoices with this status' -r -f -a "requested\t''
pending\t''
paid\t''
expired\t''
cancelled\t''
rejected\t''
review\t''"
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l account -d 'Only invoices of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l limit -d 'The largest number of invoices' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l account -d 'Only invoices of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l account -d 'Only invoices of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l account -d 'Only invoices of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l account -d 'Only invoices of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l as -d 'The new status' -r -f -a "paid\t'The payment was received'
expired\t'The order was not paid in time'
cancelled\t'The order was cancelled'"
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l note -d 'The reason, recorded in the event' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l from -d 'Start with this event (inclusive)' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l consumer -d 'Continue after this consumer\'s last acknowledged event, and acknowledge what is written; a new name starts with the first event' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l subject -d 'Only events whose subject matches: * is one token, > the rest' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l format -d 'The format of events' -r -f -a "nats\t''
hpub\t''
jsonl\t''"
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l limit -d 'Stop after this many events' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l follow -d 'Wait for new events'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l subscribe -d 'Serve the client of a socket, for `payrecond-feed@.service`'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand publish" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand publish" -l once -d 'Publish what is there, and exit; exit code 1 when it could not be published'
complete -c payrecond -n "__fish_payrecond_using_subcommand publish" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand top" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand top" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l adopt -d 'Insert invoices for orders and payments that have none'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l force -d 'Replace the database even if it is newer than the backup'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand copy" -l to -d 'The server and its database, with the owner of the schema as user' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand copy" -l password-file -d 'The file with the owner\'s password, after the credential and the variable' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand copy" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand copy" -l json -d 'Print JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand copy" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand demo" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand demo" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l listen -d 'The address to listen on' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l api-key -d 'The API key that requests must have; without it, any key is accepted' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l seed -d 'The seed of all randomness, ids included; without it the clock\'s, so that ids are not used again after a restart' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l latency -d 'The time that each answer takes' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l rate-limit -d 'Requests per second; more are answered with status 429' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l faults -d 'Faults to inject: a JSON array, or a file that contains one' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l variant -d 'Another behaviour where a provider\'s documentation leaves it open; may be repeated' -r -f -a "walletpay-number-id\t'Wallet Pay writes the id of a created order and of a preview as a number, not as text'
crypto-pay-number-fees\t'Crypto Pay writes fees as numbers, not as text'
crypto-pay-wrong-network\t'Crypto Pay refuses every token, as a network does with a token of the other one'
crypto-pay-testnet\t'Crypto Pay is the testnet: bots and hosts of the links are those of the test network'
crypto-pay-delete-false\t'Crypto Pay answers false, not an error, when an unknown invoice is deleted'
yookassa-not-found-400\t'YooKassa answers 400, not 404, about an unknown payment'
yookassa-receipt-required\t'YooKassa\'s shop fiscalizes: a payment without a receipt is refused'
yookassa-repeat-present\t'YooKassa answers a repeated request with the object as it is now, not as it was first'
cryptocloud-limit-size\t'CryptoCloud reads `limit` as a size, not as the number of the last record'
cryptocloud-limit-refused\t'CryptoCloud reads `limit` as a size and refuses more than 100'
cryptocloud-401-detail\t'CryptoCloud refuses a key with the field `detail`'
cryptocloud-bare-uuid\t'CryptoCloud writes uuids without the prefix INV-'
cryptocloud-old-host\t'CryptoCloud\'s links lead to the old host, without a scheme'
cryptocloud-test-mode\t'CryptoCloud\'s project is in test mode: its invoices are tests'
cryptocloud-partial-canceled\t'CryptoCloud cancels an invoice that is paid in part at its end'
cryptocloud-fresh-missing\t'CryptoCloud does not know an invoice in its first three seconds'
yoomoney-dead-token\t'YooMoney\'s token is dead: every request is refused, for good'
yoomoney-history-scope\t'YooMoney\'s token has the scope operation-history alone'"
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "init" -d 'Write a first configuration file, and say what to do next'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "migrate" -d 'Create or upgrade the database'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "check" -d 'Check the configuration, the database, the clock, each account\'s API key and the NATS stream'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "run" -d 'Run the daemon in the foreground; stdout is the feed of events'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "add" -d 'Insert an invoice'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "list" -d 'List invoices, newest first'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "show" -d 'Show one invoice with its events and transactions'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "why" -d 'Explain the status of an invoice and when it is polled next'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "nudge" -d 'Poll an invoice as soon as the account\'s rate limit allows'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "resolve" -d 'Decide an invoice in review'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "feed" -d 'Print the events of the outbox'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "publish" -d 'Publish the events into NATS JetStream, without a daemon'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "stats" -d 'Show counts by status, overdue polls, lag of consumers, time to detect'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "top" -d 'Watch invoices, accounts and events live in the terminal'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "audit" -d 'Compare all invoices with the provider\'s own records, in both directions'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "backup" -d 'Write a consistent copy of the database, also while the daemon runs'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "restore" -d 'Put a backup in place, with a new epoch'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "copy" -d 'Copy an SQLite database to a PostgreSQL server, and compare every row'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "demo" -d 'Show payrecond at work on a temporary database, without an API key or network'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "sandbox" -d 'Simulate the payment providers on loopback, for tests of your own programs'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from init migrate check run add list show why nudge resolve feed publish stats top audit backup restore copy demo sandbox help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
