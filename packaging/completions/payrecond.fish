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
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "run" -d 'Run the daemon, in the foreground; stdout is the feed'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "migrate" -d 'Create the database or bring it up to date'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "check" -d 'Verify configuration, database, clock and each account\'s key'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "add" -d 'Put in an invoice'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "list" -d 'List invoices, newest first'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "show" -d 'Show one invoice with its events'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "why" -d 'Tell why an invoice is where it is, and when it is looked at next'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "nudge" -d 'Ask for a look at an invoice as soon as the account\'s budget allows'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "resolve" -d 'Decide about an invoice in review'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "feed" -d 'Print the events of the outbox'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "stats" -d 'Count: statuses, overdue looks, readers\' lag, time to detect'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "audit" -d 'Compare all invoices with the provider\'s own list, both ways'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "backup" -d 'Write a consistent copy of the database, live or not'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "restore" -d 'Put a copy back, with a new epoch'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "top" -d 'Watch all of it live, in the terminal'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "sandbox" -d 'Simulate the payment provider on loopback'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "demo" -d 'Show everything at work on a temporary database, without a key or network'
complete -c payrecond -n "__fish_payrecond_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -l once -d 'Take every invoice that is due now, drain the feed, end; exit 1 when some could not be asked'
complete -c payrecond -n "__fish_payrecond_using_subcommand run" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand migrate" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand check" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l account -d 'The account whose order it is' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l external-id -d 'Your own id of the order, unique within the account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l order-id -d 'The provider\'s id of the order; without it the order is created, or followed (--follow)' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l amount -d 'What is to be paid, a plain decimal such as 1.00' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l currency -d 'The amount\'s currency, such as USD' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l description -d 'What the payer reads' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l timeout -d 'How long the order can be paid, such as 15m or 1h [default: 24h]' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l options -d 'A JSON object with the provider\'s own fields' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l metadata -d 'Any JSON; it comes back in every event' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l follow -d 'You have made the order yourself: it is found by its external id (label, payload)'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand add" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l status -d 'Of this status' -r -f -a "requested\t''
pending\t''
paid\t''
expired\t''
cancelled\t''
rejected\t''
review\t''"
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l account -d 'Of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l limit -d 'So many at most' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand list" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l account -d 'Of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand show" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l account -d 'Of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand why" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l account -d 'Of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand nudge" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l account -d 'Of this account' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l as -d 'What it is from now on' -r -f -a "paid\t'The money came'
expired\t'Nobody paid in time'
cancelled\t'Ended by someone'"
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l note -d 'Why, for the record; the event tells it' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand resolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l from -d 'Begin with this event' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l consumer -d 'Go on after the last event that this reader has acknowledged, and acknowledge what is written; a new name begins at the beginning' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l subject -d 'Only events of these subjects: * is one token, > the rest' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l format -d 'How events are written' -r -f -a "nats\t''
hpub\t''
jsonl\t''"
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l limit -d 'End after so many events' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l follow -d 'Wait for further events'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -l subscribe -d 'Serve the client of a socket: what `payrecond-feed@.service` calls, not people'
complete -c payrecond -n "__fish_payrecond_using_subcommand feed" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand stats" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l adopt -d 'Take orders that nobody dropped in as invoices'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand audit" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand backup" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l force -d 'Also over a database that is newer than the copy'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -l json -d 'Report as JSON'
complete -c payrecond -n "__fish_payrecond_using_subcommand restore" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand top" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand top" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l listen -d 'Where to listen' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l api-key -d 'The key that requests must bear; without it any is taken' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l seed -d 'Makes chance repeatable' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l latency -d 'How long each answer takes' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l rate-limit -d 'Requests a second; more are answered 429' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l faults -d 'Faults to play: a JSON array, or a file that holds one' -r
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l preview-id -d 'How the preview writes an order\'s id' -r -f -a "text\t'As text'
number\t'As a JSON number'"
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c payrecond -n "__fish_payrecond_using_subcommand demo" -l config -d 'Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, else /etc/payrecond/payrecond.toml]' -r -F
complete -c payrecond -n "__fish_payrecond_using_subcommand demo" -s h -l help -d 'Print help'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "run" -d 'Run the daemon, in the foreground; stdout is the feed'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "migrate" -d 'Create the database or bring it up to date'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "check" -d 'Verify configuration, database, clock and each account\'s key'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "add" -d 'Put in an invoice'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "list" -d 'List invoices, newest first'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "show" -d 'Show one invoice with its events'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "why" -d 'Tell why an invoice is where it is, and when it is looked at next'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "nudge" -d 'Ask for a look at an invoice as soon as the account\'s budget allows'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "resolve" -d 'Decide about an invoice in review'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "feed" -d 'Print the events of the outbox'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "stats" -d 'Count: statuses, overdue looks, readers\' lag, time to detect'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "audit" -d 'Compare all invoices with the provider\'s own list, both ways'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "backup" -d 'Write a consistent copy of the database, live or not'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "restore" -d 'Put a copy back, with a new epoch'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "top" -d 'Watch all of it live, in the terminal'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "sandbox" -d 'Simulate the payment provider on loopback'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "demo" -d 'Show everything at work on a temporary database, without a key or network'
complete -c payrecond -n "__fish_payrecond_using_subcommand help; and not __fish_seen_subcommand_from run migrate check add list show why nudge resolve feed stats audit backup restore top sandbox demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
