//! The rules of settings that are strings: what they accept, and what they become.

use std::path::PathBuf;

use croner::parser::{CronParser, Seconds};
use tracing_subscriber::filter::Targets;
use url::{Host, Url};

use super::Listen;

/// Longest path of a unix socket, in bytes, on Linux.
const MAX_SOCKET_PATH: usize = 107;

/// How a text becomes a value.
pub(super) struct Rule<T> {
    /// The description after "expected".
    pub expected: &'static str,
    /// The error is the reason, or empty if `expected` is enough.
    pub convert: fn(&str) -> Result<T, String>,
}

pub(super) const ACCOUNT_NAME: Rule<String> = Rule {
    expected: "a unique name, 1 to 32 characters of a-z 0-9 - _",
    convert: |name| {
        let letter = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        accept_if(
            (1..=32).contains(&name.len()) && name.bytes().all(letter),
            name,
        )
    },
};

pub(super) const DATABASE_PATH: Rule<PathBuf> = Rule {
    expected: "the path of a file, such as \"payrecond.db\"",
    // SQLite takes `:…` for a database in memory and `file:` for options: neither lasts.
    convert: |text| {
        let special = text.is_empty() || text.starts_with(':') || text.starts_with("file:");
        accept_if(!special && !text.contains('\0'), text)
    },
};

/// The address of a database on a server; the empty string means a file.
pub(super) const DATABASE_URL: Rule<Option<String>> = Rule {
    expected: "an address such as \"postgres://payrecond@db.example/shop\", or \"\" for a file",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        database_server(text).map(Some)
    },
};

/// The name of a daemon; the empty string means host and process.
pub(super) const DAEMON_NAME: Rule<String> = Rule {
    expected: "a name of 1 to 64 characters without spaces, or \"\" for host name and process id",
    convert: |text| {
        let is_wrong = |c: char| c.is_whitespace() || c.is_control();
        accept_if(text.chars().count() <= 64 && !text.contains(is_wrong), text)
    },
};

pub(super) const PATH: Rule<PathBuf> = Rule {
    expected: "the path of a file, or \"\" for /etc/payrecond/<provider>.key",
    convert: |text| accept_if(!text.contains('\0'), text),
};

/// An address; the empty string means the provider's own.
pub(super) const BASE_URL: Rule<Option<Url>> = Rule {
    expected: "an https address, such as \"https://pay.wallet.tg\"; http only to localhost or \
               another loopback host; or \"\" for the provider's own",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("contains a user or a password".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("contains a query or a fragment".into());
        }
        let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if safe {
            Ok(Some(url))
        } else {
            Err(String::new())
        }
    },
};

/// A path; the empty string means none.
pub(super) const OPTIONAL_PATH: Rule<Option<PathBuf>> = Rule {
    expected: "the path of a file, or \"\" for none",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        accept_if(!text.contains('\0'), text).map(Some)
    },
};

/// Addresses of NATS servers; the empty string means no publisher.
pub(super) const NATS_URL: Rule<Vec<Url>> = Rule {
    expected: "an address such as \"nats://127.0.0.1:4222\" or \"tls://nats.example:4222\", servers of one \
               cluster separated by commas, or \"\" for no publisher",
    convert: |text| {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        text.split(',')
            .map(|address| nats_server(address.trim()))
            .collect()
    },
};

/// The name of a stream; the empty string means the one that has the subject.
pub(super) const STREAM: Rule<Option<String>> = Rule {
    expected: "the name of a stream without spaces, dots, `*`, `>` and slashes, or \"\" for the stream that \
               has the subject",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
        accept_if(text.len() <= 255 && !text.contains(forbidden), text).map(Some)
    },
};

pub(super) const SUBJECT_PREFIX: Rule<String> = Rule {
    expected: "words joined by dots, such as \"payments\" or \"shop.payments\", up to 200 bytes, \
               without spaces, `*`, `>` or a `$` in front",
    convert: |text| {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "*>".contains(c);
        let words = text
            .split('.')
            .all(|word| !word.is_empty() && !word.contains(forbidden));
        // Subjects that begin with $ belong to the server.
        accept_if(words && text.len() <= 200 && !text.starts_with('$'), text)
    },
};

/// A cron expression, parsed like the scheduler does; the empty string means never.
pub(super) const CRON: Rule<Option<String>> = Rule {
    expected: "six fields, second minute hour day month weekday, such as \"0 15 3 * * *\"; or \
               \"\" for never",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        // The parser accepts five fields, seven, and @daily too; one form is enough to explain.
        let fields = text.split_whitespace().count();
        if fields != 6 {
            return Err(format!("has {fields} fields instead of six"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build();
        let schedule = parser
            .parse(text)
            .map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
        // The 30th of February is valid for the parser, but would never come.
        match schedule.find_next_occurrence(&chrono::DateTime::UNIX_EPOCH, false) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(_) => Err("never occurs".into()),
        }
    },
};

/// An address to listen on; the empty string means none.
pub(super) const LISTEN: Rule<Option<Listen>> = Rule {
    expected: "a loopback address with a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", a \
               socket such as \"unix:/run/payrecond/http.sock\", or \"\" for none; other \
               addresses with server.allow_remote = true",
    convert: |text| {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') || path.contains('\0') || path.len() > MAX_SOCKET_PATH {
                return Err(format!(
                    "the socket's path must begin with / and be at most {MAX_SOCKET_PATH} bytes"
                ));
            }
            return Ok(Some(Listen::Unix(path.into())));
        }
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        numeric
            .parse()
            .map(|address| Some(Listen::Tcp(address)))
            .map_err(|_| String::new())
    },
};

pub(super) const LOG_LEVEL: Rule<String> = Rule {
    expected: "off, error, warn, info, debug or trace, or filters such as \
               \"info,payrecond::provider=debug\"",
    // The parser takes a single misspelt level for the name of a target, which would silence
    // everything else; hence this check before it.
    convert: |text| {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let known = |part: &str| part.contains('=') || levels.contains(&part.trim());
        let plain = text.split(',').all(known);
        accept_if(plain && text.parse::<Targets>().is_ok(), text)
    },
};

fn accept_if<T: From<String>>(good: bool, text: &str) -> Result<T, String> {
    if good {
        Ok(text.to_owned().into())
    } else {
        Err(String::new())
    }
}

fn nats_server(address: &str) -> Result<Url, String> {
    let url = Url::parse(address).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "contains a user, a password or a token; put it into the credential, see nats.credentials_file"
                .into(),
        );
    }
    let is_bare =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    if matches!(url.scheme(), "nats" | "tls") && has_host && is_bare {
        Ok(url)
    } else {
        Err(String::new())
    }
}

/// What `database_server` accepts.
pub(super) const DATABASE_SERVER: &str =
    "an address such as \"postgres://payrecond@db.example/shop\"";

pub(super) fn database_server(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let has_password =
        url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password");
    if has_password {
        return Err(
            "contains a password; put it into database.password_file or the credential database.password"
                .into(),
        );
    }
    accept_if(matches!(url.scheme(), "postgres" | "postgresql"), text)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
