//! How several daemons share accounts: which leases one of them should take, and which it should
//! give up.
//!
//! A free account is taken by a daemon that has it configured. The daemon with the fewest accounts
//! takes it at once, the others after a moment, so that an account given up by the daemon with the
//! most goes to the one with the fewest, and an account that idle daemons do not know is not left
//! unpolled.

use std::time::Duration;

use super::time::UnixMillis;

/// A lease that stays free for this long may be taken by any daemon.
const ANYBODY_AFTER: Duration = Duration::from_secs(1);

/// The lease of an account.
const ACCOUNT: &str = "account:";

/// The name of an account's lease.
pub fn account_lease(account: &str) -> String {
    format!("{ACCOUNT}{account}")
}

/// The account of a lease, if it is an account's lease.
pub fn account_of(lease: &str) -> Option<&str> {
    lease.strip_prefix(ACCOUNT)
}

/// The lease of the tasks for all accounts: retention, correcting plans after the clock was set
/// back, and unknown accounts.
pub const HOUSEKEEPING: &str = "housekeeping";

/// A running daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDaemon {
    /// Its name.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The accounts that it could poll.
    pub accounts: Vec<String>,
    /// When it was last seen.
    pub seen_at: UnixMillis,
}

/// The state of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// Its name.
    pub name: String,
    /// Its current or last owner.
    pub owner: Option<String>,
    /// Its end. After that it is free.
    pub until: UnixMillis,
}

/// All daemons and leases, at one moment of the database's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The time.
    pub now: UnixMillis,
    /// The running daemons.
    pub daemons: Vec<LiveDaemon>,
    /// The leases.
    pub leases: Vec<LeaseState>,
}

impl ClusterView {
    /// Every account that a running daemon could poll.
    pub fn known_accounts(&self) -> impl Iterator<Item = &str> {
        let accounts = self.daemons.iter().flat_map(|daemon| &daemon.accounts);
        accounts.map(String::as_str)
    }

    /// The daemon that polls an account.
    pub fn owner_of(&self, account: &str) -> Option<&str> {
        let mut held = self.leases.iter().filter(|lease| self.is_held(lease));
        let lease = held.find(|lease| account_of(&lease.name) == Some(account))?;
        lease.owner.as_deref()
    }

    /// The leases among `wanted` that `me` should take now.
    pub fn to_take(&self, me: &str, wanted: &[String]) -> Vec<String> {
        let free = self.leases.iter().filter(|lease| !self.is_held(lease));
        let mut mine = self.accounts_of(me);
        let mut take = Vec::new();
        for lease in free.filter(|lease| wanted.contains(&lease.name)) {
            let Some(account) = account_of(&lease.name) else {
                take.push(lease.name.clone());
                continue;
            };
            let is_old = self.now.since(lease.until) >= ANYBODY_AFTER;
            if is_old
                || self
                    .fewest_of_others(me, account)
                    .is_none_or(|fewest| mine <= fewest)
            {
                mine += 1;
                take.push(lease.name.clone());
            }
        }
        take
    }

    /// A lease of an account that `me` should give up: another daemon with that account has at
    /// least two fewer.
    pub fn to_give_up(&self, me: &str) -> Option<&str> {
        let mine = self.accounts_of(me);
        let held = self.leases.iter().filter(|lease| self.is_owner(me, lease));
        let mut accounts = held.filter_map(|lease| Some((lease, account_of(&lease.name)?)));
        let given = accounts.find(|(_, account)| {
            let fewest = self.fewest_of_others(me, account);
            fewest.is_some_and(|fewest| fewest + 1 < mine)
        });
        given.map(|(lease, _)| lease.name.as_str())
    }

    /// The lowest number of accounts of another daemon with this account; None if there is none.
    fn fewest_of_others(&self, me: &str, account: &str) -> Option<usize> {
        let others = self.daemons.iter().filter(|daemon| daemon.name != me);
        let knowing = others.filter(|daemon| daemon.accounts.iter().any(|known| known == account));
        knowing.map(|daemon| self.accounts_of(&daemon.name)).min()
    }

    fn accounts_of(&self, daemon: &str) -> usize {
        let held = self
            .leases
            .iter()
            .filter(|lease| self.is_owner(daemon, lease));
        held.filter(|lease| account_of(&lease.name).is_some())
            .count()
    }

    fn is_owner(&self, daemon: &str, lease: &LeaseState) -> bool {
        self.is_held(lease) && lease.owner.as_deref() == Some(daemon)
    }

    /// Whether the lease is held now.
    pub fn is_held(&self, lease: &LeaseState) -> bool {
        lease.owner.is_some() && lease.until >= self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn daemon(name: &str, accounts: &[&str]) -> LiveDaemon {
        LiveDaemon {
            name: name.into(),
            version: "1".into(),
            accounts: accounts.iter().map(|&account| account.into()).collect(),
            seen_at: NOW,
        }
    }

    fn lease(account: &str, owner: Option<&str>, until: i64) -> LeaseState {
        LeaseState {
            name: account_lease(account),
            owner: owner.map(str::to_owned),
            until: UnixMillis(NOW.0 + until),
        }
    }

    fn view(daemons: &[LiveDaemon], leases: &[LeaseState]) -> ClusterView {
        ClusterView {
            now: NOW,
            daemons: daemons.to_vec(),
            leases: leases.to_vec(),
        }
    }

    fn wanted(accounts: &[&str]) -> Vec<String> {
        accounts
            .iter()
            .map(|account| account_lease(account))
            .collect()
    }

    #[test]
    fn a_lone_daemon_takes_all_that_it_knows() {
        let leases = ["a", "b", "c"].map(|account| lease(account, None, -1));
        let alone = view(&[daemon("one", &["a", "b"])], &leases);
        assert_eq!(
            alone.to_take("one", &wanted(&["a", "b"])),
            wanted(&["a", "b"])
        );
    }

    #[test]
    fn who_has_less_takes_at_once_and_the_others_after_a_moment() {
        let both = [daemon("one", &["a", "b"]), daemon("two", &["a", "b"])];
        let all = wanted(&["a", "b"]);
        let fresh = view(&both, &[lease("a", Some("one"), 9), lease("b", None, -1)]);
        assert_eq!(fresh.to_take("two", &all), wanted(&["b"]));
        assert!(fresh.to_take("one", &all).is_empty());
        let old = view(
            &both,
            &[lease("a", Some("one"), 9), lease("b", None, -1000)],
        );
        assert_eq!(old.to_take("one", &all), wanted(&["b"]));
    }

    #[test]
    fn an_account_that_the_idle_daemon_does_not_know_is_taken_at_once() {
        let daemons = [daemon("one", &["a", "b"]), daemon("two", &["a"])];
        let view = view(
            &daemons,
            &[lease("a", Some("one"), 9), lease("b", Some("gone"), -1)],
        );
        assert_eq!(view.to_take("one", &wanted(&["a", "b"])), wanted(&["b"]));
    }

    #[test]
    fn who_has_two_more_gives_one_up_and_then_rests() {
        let both = [daemon("one", &["a", "b", "c"]), daemon("two", &["c"])];
        let leases = ["a", "b", "c"].map(|account| lease(account, Some("one"), 9));
        let uneven = view(&both, &leases);
        assert_eq!(uneven.to_give_up("one"), Some("account:c"), "two knows it");
        let mut leases = leases.to_vec();
        leases[2].owner = Some("two".into());
        let even = view(&both, &leases);
        assert_eq!(
            (even.to_give_up("one"), even.to_give_up("two")),
            (None, None)
        );
    }

    #[test]
    fn shares_come_to_rest_whatever_the_daemons_know() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let daemons = [
            daemon("one", &names),
            daemon("two", &names[..3]),
            daemon("three", &names[2..]),
        ];
        let leases: Vec<LeaseState> = names.iter().map(|name| lease(name, None, -1)).collect();
        let mut view = view(&daemons, &leases);
        for round in 0..50 {
            let mut moved = false;
            for daemon in &daemons {
                for name in view.to_take(&daemon.name, &wanted(&daemon_accounts(daemon))) {
                    moved = true;
                    set(&mut view, &name, Some(&daemon.name), 9);
                }
                if let Some(name) = view.to_give_up(&daemon.name).map(str::to_owned) {
                    moved = true;
                    set(&mut view, &name, None, -1);
                }
            }
            if !moved {
                let counts = daemons.clone().map(|daemon| view.accounts_of(&daemon.name));
                assert_eq!(counts.iter().sum::<usize>(), names.len());
                assert!(
                    counts.iter().all(|count| (2..=3).contains(count)),
                    "{counts:?}"
                );
                return;
            }
            assert!(round < 49, "never at rest");
        }
    }

    fn daemon_accounts(daemon: &LiveDaemon) -> Vec<&str> {
        daemon.accounts.iter().map(String::as_str).collect()
    }

    fn set(view: &mut ClusterView, name: &str, owner: Option<&str>, until: i64) {
        for lease in view.leases.iter_mut().filter(|lease| lease.name == name) {
            lease.owner = owner.map(str::to_owned);
            lease.until = UnixMillis(NOW.0 + until);
        }
    }
}
