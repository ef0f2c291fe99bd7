//! Where a database lies.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// The role that owns the schema, in `docs/postgres.md`.
const OWNER: &str = "payrecond_owner";

/// A file, or a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// An SQLite file.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    Server(ServerLocation),
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

/// A database on a PostgreSQL server, and the password of the role.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerLocation {
    url: String,
    password: Option<String>,
}

impl ServerLocation {
    /// `url` holds no password: it is shown.
    pub fn new(url: impl Into<String>, password: Option<String>) -> Self {
        Self {
            url: url.into(),
            password,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The address with the role that owns the schema, as `docs/postgres.md` names it: the daemon's own role may
    /// neither make nor drop tables.
    pub(super) fn as_owner(&self) -> String {
        let Ok(mut url) = Url::parse(&self.url) else {
            return self.url.clone();
        };
        // Without a host there is no place for it: the address stays as it is.
        let _ = url.set_username(OWNER);
        url.into()
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Display for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ServerLocation");
        shown.field("url", &self.url);
        shown.finish_non_exhaustive()
    }
}
