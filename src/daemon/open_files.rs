//! The limit of open files: raised as far as allowed, with enough reserved for the database, the
//! server and the feed. Otherwise connections to providers could use all of them, and observations
//! could not be written.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Streams, locks, side file, database connections, DNS: 22 when idle.
const KEPT_BACK: usize = 30;
/// The server's own connections to the database, and those of its visitors.
const KEPT_BACK_FOR_SERVER: usize = 74;

/// Raises the limit, and lowers `max_in_flight` where it does not fit, with a warning.
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
            lowered_to = cut,
            "max_in_flight lowered to fit the limit of open files; raise LimitNOFILE or ulimit -n"
        );
        account.max_in_flight = cut;
    }
}

/// An account's share of the remaining files, in proportion, at least 1.
fn share(max_in_flight: usize, left: usize, wanted: usize) -> usize {
    (max_in_flight.saturating_mul(left) / wanted.max(1)).max(1)
}

/// Raises the soft limit to the hard one. Returns the limit in force.
fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "limit of open files could not be raised");
            current
        }
    };
    // None means no limit.
    allowed.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn remaining_files_are_shared_in_proportion_at_least_one_each() {
        assert_eq!(share(100, 10, 100), 10);
        assert_eq!(share(75, 10, 100), 7);
        assert_eq!(share(25, 10, 100), 2);
        assert_eq!(share(100, 0, 100), 1);
        assert_eq!(share(10_000, usize::MAX, 10_000), usize::MAX / 10_000);
    }
}
