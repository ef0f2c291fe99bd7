//! What happens in a seed's world, and when: all of it is drawn before the first life begins.

use std::time::Duration;

use payrecond::clock::Clock as _;

use crate::nature::Nature;
use crate::script::Story;
use crate::shapes::draw::Theme;
use crate::shapes::laws::ANSWERED_WITHIN;
use crate::world::Weather;

/// After the person and the last nudges, so long for the last looks.
const LAST_LOOKS: Duration = Duration::from_mins(4);
/// Between two looks at whether everything has settled: then the rest need not be waited for.
const CHECK_EVERY: Duration = Duration::from_secs(20);

/// Accounts are shared fairly so long after the end of all trouble.
const SHARED_WITHIN: Duration = Duration::from_mins(2);

/// What happens beside the daemon.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    DropIn(usize),
    Nudge(usize),
    NudgeAll,
    NudgesAnswered,
    Metadata(usize),
    Weather(usize, Weather),
    /// The wall clock jumps by so many seconds.
    Jump(i64),
    BadDisk(bool),
    BotReads,
    KeeperReads,
    Backup,
    ReaderStalls(Duration),
    ReaderGoes,
    Reload,
    Audit(usize),
    /// The daemon is told to stop, and started again.
    Restart,
    /// Something happens to one of several daemons, for so long.
    Mishap(Mishap, usize, Duration),
    /// One of several daemons is well again, or started.
    Recovers(usize),
    /// Are the accounts shared fairly?
    SharesChecked,
    TroubleEnds,
    /// Is everything as it should be already?
    Check,
    PersonDecides,
    End,
}

/// What happens to one of several daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Its machine stands still.
    Pause,
    Kill,
    /// It is told to stop, and started again.
    Stop,
    /// The database cannot be reached from it.
    CutOff,
}

impl Story {
    pub fn at(&mut self, at: Duration, deed: Deed) {
        let place = self.deeds.keys().map(|(_, n)| n + 1).max().unwrap_or(0);
        self.deeds.insert((at, place), deed);
    }

    fn somewhen(&mut self) -> Duration {
        let active = self.world.lock().nature.active;
        active.mul_f64(self.rng.f64())
    }

    pub fn plan(&mut self) {
        let (nature, wishes) = {
            let world = self.world.lock();
            (world.nature.clone(), world.wishes.clone())
        };
        for (n, wish) in wishes.iter().enumerate() {
            self.at(wish.drop_in_at, Deed::DropIn(n));
            if !nature.theme.is_calm() && self.rng.u8(..3) == 0 {
                let (nudge, metadata) = (self.somewhen(), self.somewhen());
                self.at(nudge, Deed::Nudge(n));
                self.at(metadata, Deed::Metadata(n));
            }
        }
        for account in 0..nature.accounts.len() {
            self.plan_weather(account, &nature);
        }
        if nature.theme == Theme::MassNudges {
            for at in [nature.active.mul_f64(0.5), nature.active.mul_f64(0.75)] {
                self.at(at, Deed::NudgeAll);
                self.at(at + ANSWERED_WITHIN.mul_f64(0.99), Deed::NudgesAnswered);
            }
        }
        if nature.theme.is_calm() {
            self.plan_end(&nature);
            return;
        }
        self.plan_trouble(&nature);
        self.plan_mishaps(&nature);
        if self.rng.u8(..4) == 0 {
            let (at, account) = (self.somewhen(), self.rng.usize(..nature.accounts.len()));
            self.at(at, Deed::Audit(account));
        }
        self.plan_end(&nature);
    }

    /// What happens to single daemons of several.
    fn plan_mishaps(&mut self, nature: &Nature) {
        let Some(cluster) = &nature.cluster else {
            return;
        };
        for _ in 0..self.rng.u8(1..9) {
            let daemon = self.rng.usize(..cluster.daemons.len());
            let mishap = match self.rng.u8(..8) {
                0..=2 => Mishap::Pause,
                3..=4 => Mishap::Kill,
                5 => Mishap::Stop,
                _ => Mishap::CutOff,
            };
            let most = cluster.term * self.rng.u32(1..=4);
            let (at, longer) = (self.somewhen(), most.mul_f64(self.rng.f64()));
            self.at(at, Deed::Mishap(mishap, daemon, longer));
        }
        self.at(nature.active + SHARED_WITHIN, Deed::SharesChecked);
    }

    /// Consumers read, and everything settles.
    fn plan_end(&mut self, nature: &Nature) {
        for n in 0..10 {
            let at = nature.active.mul_f64(f64::from(n) / 10.0);
            self.at(at, Deed::BotReads);
            self.at(at + Duration::from_secs(5), Deed::KeeperReads);
        }
        self.at(nature.active, Deed::TroubleEnds);
        let settled = nature.active + nature.settling();
        self.at(settled, Deed::PersonDecides);
        self.at(settled + LAST_LOOKS, Deed::End);
        let mut check = nature.active + CHECK_EVERY;
        while check < settled + LAST_LOOKS {
            self.at(check, Deed::Check);
            check += CHECK_EVERY;
        }
    }

    /// A person comes once more, and the daemon lives on for the last looks.
    pub fn plan_last_looks(&mut self) {
        let now = self.clock.monotonic();
        self.at(now, Deed::PersonDecides);
        self.at(now + LAST_LOOKS, Deed::End);
    }

    /// Everything is as it should be: what comes next comes now.
    pub fn skip_waiting(&mut self) {
        let now = self.clock.monotonic();
        let ahead = self.deeds.iter().map(|(&key, &deed)| (key, deed));
        let next = ahead
            .filter(|(_, deed)| matches!(deed, Deed::PersonDecides | Deed::End))
            .min_by_key(|&(key, _)| key);
        let Some((key, deed)) = next else { return };
        self.deeds.remove(&key);
        self.deeds.retain(|&(at, _), _| at > now);
        self.deeds.insert((now, 0), deed);
    }

    fn plan_weather(&mut self, account: usize, nature: &Nature) {
        if !nature.storms && !nature.lies {
            return;
        }
        for _ in 0..self.rng.u8(1..8) {
            let weather = match self.rng.u8(..4) {
                0 => Weather::Calm,
                1 if nature.storms => Weather::Storm(self.rng.u8(..6)),
                _ => Weather::Flaky(self.rng.u8(2..12)),
            };
            let at = self.somewhen();
            self.at(at, Deed::Weather(account, weather));
        }
        if nature.storms && self.rng.u8(..3) == 0 {
            // An outage that lasts to the end of all trouble.
            let storm = Weather::Storm(self.rng.u8(..6));
            let at = nature.active.mul_f64(0.75);
            self.at(at, Deed::Weather(account, storm));
        }
    }

    fn plan_trouble(&mut self, nature: &Nature) {
        for _ in 0..self.rng.u8(1..4) {
            let (jump, disk) = (self.somewhen(), self.somewhen());
            if nature.jumps {
                let far = [3, 90, 4000][self.rng.usize(..3)];
                let seconds = self.rng.i64(-far..=far);
                self.at(jump, Deed::Jump(seconds));
            }
            if nature.bad_disk {
                self.at(disk, Deed::BadDisk(true));
                let longer = Duration::from_secs(self.rng.u64(1..40));
                self.at(disk + longer, Deed::BadDisk(false));
            }
            let (stalls, goes) = (self.somewhen(), self.somewhen());
            let longer = Duration::from_secs(self.rng.u64(1..100));
            self.at(stalls, Deed::ReaderStalls(longer));
            if self.rng.u8(..3) == 0 {
                self.at(goes, Deed::ReaderGoes);
            }
            let (backup, restart, reload) = (self.somewhen(), self.somewhen(), self.somewhen());
            if nature.puts_back {
                self.at(backup, Deed::Backup);
                self.at(restart, Deed::Restart);
            }
            if self.rng.bool() {
                self.at(restart, Deed::Restart);
            }
            self.at(reload, Deed::Reload);
        }
    }
}
