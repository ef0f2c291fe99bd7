//! The limit of open files: raised as far as it may be, with enough kept back for the database, the
//! server and the feed. Else the connections to the provider take them all, and what was found out
//! cannot be written.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Streams, locks, side file, the connections to the database, names that are looked up: 22 at rest.
const KEPT_BACK: usize = 30;
/// The server's own connections to the database, and those of its visitors.
const KEPT_BACK_FOR_SERVER: usize = 74;

/// Raises the limit and cuts what would not fit into it, aloud.
pub(super) fn fit(config: &mut Config) {
    let allowed = raise_limit();
    let server = config
        .server
        .listen
        .as_ref()
        .map_or(0, |_| KEPT_BACK_FOR_SERVER);
    let left = allowed.saturating_sub(KEPT_BACK + server);
    let enabled = || config.accounts.iter().filter(|account| account.enabled);
    let wanted: usize = enabled().map(|account| account.max_in_flight).sum();
    if wanted <= left {
        return;
    }
    for account in config.accounts.iter_mut().filter(|one| one.enabled) {
        let cut = share(account.max_in_flight, left, wanted);
        tracing::warn!(
            account = account.name,
            open_files = allowed,
            max_in_flight = account.max_in_flight,
            cut_to = cut,
            "max_in_flight is cut to stay clear of \"Too many open files\": raise the limit (LimitNOFILE, ulimit -n)"
        );
        account.max_in_flight = cut;
    }
}

/// The part of what is left for an account that wants so much of it, at least 1.
fn share(max_in_flight: usize, left: usize, wanted: usize) -> usize {
    (max_in_flight.saturating_mul(left) / wanted.max(1)).max(1)
}

/// Raises the soft limit to the hard one. Returns what is allowed then.
fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    // None is no limit.
    allowed.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn what_is_left_is_shared_in_proportion_and_everyone_gets_something() {
        assert_eq!(share(100, 10, 100), 10);
        assert_eq!(share(75, 10, 100), 7);
        assert_eq!(share(25, 10, 100), 2);
        assert_eq!(share(100, 0, 100), 1);
        assert_eq!(share(10_000, usize::MAX, 10_000), usize::MAX / 10_000);
    }
}
