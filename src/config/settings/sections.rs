//! The table itself.

use super::{SectionText, SettingText};

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> SettingText {
    SettingText {
        key,
        default,
        about,
    }
}

/// Every section, in the order of the documentation.
pub const SECTIONS: &[SectionText] = &[
    SectionText {
        name: "database",
        repeats: false,
        about: "",
        settings: &[
            setting(
                "path",
                "\"payrecond.db\"",
                "The SQLite file that your programs write invoices to and read events from. `payrecond run` and `payrecond migrate` create it. A relative path starts at \
             the working directory. Keep it on a local disk, not on a network share. The systemd unit uses /var/lib/payrecond/payrecond.db.",
            ),
            setting(
                "url",
                "\"\"",
                "A database on a PostgreSQL server instead of a file: postgres://payrecond@db.example/shop. `payrecond migrate`, run as the owner, makes its \
             tables. A server on another machine is spoken to by verified TLS only. A password has no place here.",
            ),
            setting(
                "password_file",
                "\"\"",
                "A file with the password of the role in `url`. It is the last place searched, after $CREDENTIALS_DIRECTORY/database.password and the \
             content of PAYRECOND_DATABASE_PASSWORD.",
            ),
        ],
    },
    SectionText {
        name: "account",
        repeats: true,
        about: "One block for each store at a provider, with its own key and its own rate limit. Repeat the block for more stores.",
        settings: ACCOUNT,
    },
    SectionText {
        name: "polling",
        repeats: false,
        about: "The time to the next poll of an invoice is its age * age_factor, between min_interval and max_interval: a new invoice is polled \
                every few seconds, an old one seldom. Smaller values detect payments sooner and send more requests.",
        settings: POLLING,
    },
    SectionText {
        name: "http",
        repeats: false,
        about: "Requests to providers.",
        settings: &[
            setting("connect_timeout", "\"5s\"", "How long connecting may take."),
            setting(
                "request_timeout",
                "\"15s\"",
                "How long one request may take, from connecting to the last byte of the answer.",
            ),
            setting(
                "max_response_bytes",
                "33554432",
                "The longest answer that is read. A full list page of 10000 orders has several MB.",
            ),
            setting(
                "max_retry_after",
                "\"10m\"",
                "The longest Retry-After that is honoured: a provider that asks for a longer pause is asked again after this one.",
            ),
        ],
    },
    SectionText {
        name: "feed",
        repeats: false,
        about: "",
        settings: &[
            setting(
                "stdout",
                "\"nats\"",
                "What `payrecond run` writes to stdout for each event: \"nats\" frames as a subscriber receives them, \"hpub\" frames to pipe \
                 into a NATS server, \"jsonl\" one JSON object per line, \"off\" nothing: the consumer `stdout` keeps its place, \
                 and retention passes it. With a database on a server the default is \"off\".",
            ),
            setting(
                "subject_prefix",
                "\"payments\"",
                "The first part of each event's subject: `<prefix>.<account>.<paid, expired, ...>`.",
            ),
        ],
    },
    SectionText {
        name: "nats",
        repeats: false,
        about: "The publisher: every event is also published into a stream of NATS JetStream, once and in order; see docs/nats.md. \
                It is off without `url`.",
        settings: NATS,
    },
    SectionText {
        name: "cluster",
        repeats: false,
        about: "Several daemons on one PostgreSQL database share the accounts. Without a server these settings have no effect.",
        settings: &[
            setting(
                "name",
                "\"\"",
                "The name of this daemon in `payrecond stats` and on the status page; no other daemon may have it. \"\" = host name and process id.",
            ),
            setting(
                "lease",
                "\"10s\"",
                "An account whose daemon was not heard of for so long is taken over by another one. 3s to 5m.",
            ),
        ],
    },
    SectionText {
        name: "jobs",
        repeats: false,
        about: "Cron expressions with six fields (second minute hour day month weekday), in UTC; \"\" = never.",
        settings: &[
            setting(
                "audit",
                "\"0 15 3 * * *\"",
                "When to compare all invoices with the provider's own records.",
            ),
            setting(
                "retention",
                "\"0 45 3 * * *\"",
                "When to delete rows that [retention] no longer keeps.",
            ),
        ],
    },
    SectionText {
        name: "retention",
        repeats: false,
        about: "How long rows are kept; \"\" = for ever.",
        settings: &[
            setting(
                "outbox",
                "\"30d\"",
                "Events. An event is never deleted before every consumer has acknowledged it.",
            ),
            setting("invoices", "\"\"", "Final invoices."),
            setting(
                "transactions",
                "\"400d\"",
                "Transactions of a ledger that belong to no invoice. The others are deleted with their invoice.",
            ),
        ],
    },
    SectionText {
        name: "server",
        repeats: false,
        about: "",
        settings: &[
            setting(
                "listen",
                "\"\"",
                "Where to serve the status page, health checks and metrics: \"127.0.0.1:9464\", or a socket for owner and group such as \
                 \"unix:/run/payrecond/http.sock\"; \"\" = no server.",
            ),
            setting(
                "allow_remote",
                "false",
                "Whether `listen` may be an address that other machines reach. The pages have no password.",
            ),
        ],
    },
    SectionText {
        name: "log",
        repeats: false,
        about: "Log messages go to stderr.",
        settings: &[
            setting(
                "level",
                "\"info\"",
                "\"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", or a level by module: \"info,payrecond::provider=debug\".",
            ),
            setting(
                "format",
                "\"text\"",
                "\"text\" for people, \"json\" for programs.",
            ),
        ],
    },
];

const NATS: &[SettingText] = &[
    setting(
        "url",
        "\"\"",
        "Where the server is. A server on another machine is spoken to by TLS only, and its certificate is verified. A user or a password has no \
         place here.",
    ),
    setting(
        "stream",
        "\"\"",
        "The stream, which you make; `payrecond check` prints the line that makes one. \"\" = the stream that has the subject.",
    ),
    setting(
        "credentials_file",
        "\"\"",
        "A file with the credential: a .creds file, the seed of an nkey, user:password, or a token. It is the last place searched, after \
         $CREDENTIALS_DIRECTORY/nats.creds and the content of PAYRECOND_NATS_CREDS.",
    ),
    setting(
        "tls_ca_file",
        "\"\"",
        "A file with certificates (PEM) of the authority that signed the server's certificate. \"\" = the public ones, which are built in.",
    ),
];

const ACCOUNT: &[SettingText] = &[
    setting(
        "name",
        "\"default\"",
        "The name of this store in the column `account` of your invoices and in the subject of events.",
    ),
    setting(
        "provider",
        "\"walletpay\"",
        "The payment provider. Settings that only one provider has are written under [account.settings]; docs/providers lists them.",
    ),
    setting(
        "base_url",
        "\"\"",
        "Where the provider's API answers, without the path of the API; \"\" = the provider's own address. https, or http on loopback, such as \
         http://127.0.0.1:8181 for `payrecond sandbox`.",
    ),
    setting(
        "api_key_file",
        "\"\"",
        "The file that holds the API key and nothing else; \"\" = /etc/payrecond/<provider>.key. It is tried last, after the systemd credential \
         `<name>.key` and the variable `PAYRECOND_API_KEY_<NAME>`. The key itself never stands in the configuration.",
    ),
    setting(
        "requests_per_second",
        "5.0",
        "The rate limit: average requests per second for everything that is asked for this account; 0 = no limit. Lower it when the provider \
         answers with status 429. When it is left out, the provider's own default applies, see docs/providers.",
    ),
    setting(
        "burst",
        "10",
        "How many requests may start at once after a quiet time.",
    ),
    setting(
        "max_in_flight",
        "16",
        "How many requests may wait for their answers at the same time.",
    ),
    setting(
        "strategy",
        "\"auto\"",
        "How orders are polled: \"single\" by their ids, \"list\" by reading the provider's list or ledger, \"auto\" whichever is cheaper.",
    ),
    setting(
        "list_bytes_per_second",
        "131072",
        "Bytes per second for reading the list more often than due polls need, which detects payments sooner; 0 = only for due polls.",
    ),
    setting(
        "accept_test_payments",
        "false",
        "Whether a payment made in the provider's test mode counts as paid. When false, a person decides (status review).",
    ),
    setting(
        "enabled",
        "true",
        "Whether the account is polled. When false, its invoices wait.",
    ),
];

const POLLING: &[SettingText] = &[
    setting(
        "min_interval",
        "\"3s\"",
        "The shortest time between two polls of an invoice.",
    ),
    setting(
        "age_factor",
        "0.1",
        "The part of an invoice's age after which it is polled again.",
    ),
    setting(
        "max_interval",
        "\"10m\"",
        "The longest time between two polls of an invoice.",
    ),
    setting(
        "jitter",
        "0.1",
        "Random change of each interval, as a part of it, so that invoices created together are not polled together.",
    ),
    setting(
        "intake_interval",
        "\"500ms\"",
        "How often the database is checked for new rows.",
    ),
    setting(
        "checks_after_expiry",
        "[\"1s\", \"30s\", \"2m\", \"10m\", \"1h\", \"24h\"]",
        "Polls at fixed times after an order's expiry, because a payment made in the last second shows up late; [] = none.",
    ),
    setting(
        "not_found_grace",
        "\"10m\"",
        "How long the provider must keep answering that an order does not exist before the invoice goes to review.",
    ),
    setting(
        "deadline_grace",
        "\"2m\"",
        "Providers with a ledger and no orders: how long after an invoice's deadline the ledger must have been read, without a payment in it, \
         before the invoice expires.",
    ),
];
