//! Selects the faults: which one, if any, applies to the next request.

use super::fault::{Fault, FaultKind};
use crate::sandbox::operation::Operation;

/// The active faults and the seeded generator that selects from them.
pub(in crate::sandbox) struct Deck {
    faults: Vec<Fault>,
    rng: fastrand::Rng,
    /// Incremented with every new list, so that a fault of an old list is not put back into it.
    generation: u64,
}

/// A fault that applies now.
pub(in crate::sandbox) struct Dealt {
    pub fault: Fault,
    /// Whether the operation is carried out although its answer is lost.
    pub performs: bool,
    /// The generator for the fault's other choices.
    pub rng: fastrand::Rng,
    place: usize,
    generation: u64,
}

impl Deck {
    pub fn new(seed: u64, faults: Vec<Fault>) -> Deck {
        // Another stream than that of orders: the same seed must not tie ids to faults.
        Deck {
            faults,
            rng: fastrand::Rng::with_seed(seed.rotate_left(32) ^ 0xFA17),
            generation: 0,
        }
    }

    pub fn replace(&mut self, faults: Vec<Fault>) {
        self.faults = faults;
        self.generation += 1;
    }

    /// The faults with their remaining counts.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The first fault of the list that matches `operation`, has a remaining count, and hits.
    pub fn deal(&mut self, operation: Operation) -> Option<Dealt> {
        for (place, fault) in self.faults.iter_mut().enumerate() {
            let matches = fault.on.is_none_or(|on| on.covers(operation)) && fault.count != Some(0);
            if !matches || self.rng.f64() >= fault.probability {
                continue;
            }
            fault.count = fault.count.map(|left| left - 1);
            let coin = self.rng.bool();
            return Some(Dealt {
                performs: match fault.kind {
                    FaultKind::LostAnswer => true,
                    kind => fault.after.unwrap_or(coin && kind.may_lose_an_answer()),
                },
                fault: fault.clone(),
                rng: self.rng.fork(),
                place,
                generation: self.generation,
            });
        }
        None
    }

    /// Restores the count of a fault that found nothing to alter.
    pub fn put_back(&mut self, dealt: &Dealt) {
        if dealt.generation == self.generation {
            let count = &mut self.faults[dealt.place].count;
            *count = count.map(|left| left + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_fault_applies_until_its_count_is_used_up() {
        let faults = vec![
            Fault::new(FaultKind::Reset).on(Operation::Create),
            Fault::new(FaultKind::Status429).times(2),
            Fault::new(FaultKind::NotFound).with_probability(0.0),
        ];
        let mut deck = Deck::new(1, faults);
        let mut kinds = |operation| deck.deal(operation).map(|dealt| dealt.fault.kind);
        assert_eq!(kinds(Operation::Create), Some(FaultKind::Reset));
        assert_eq!(kinds(Operation::Preview), Some(FaultKind::Status429));
        assert_eq!(kinds(Operation::List), Some(FaultKind::Status429));
        assert_eq!(kinds(Operation::List), None);
        assert_eq!(deck.faults()[1].count, Some(0));
    }

    #[test]
    fn the_seed_decides_everything() {
        let draws = |seed| {
            let mut deck = Deck::new(
                seed,
                vec![Fault::new(FaultKind::Timeout).with_probability(0.3)],
            );
            (0..200)
                .map(|_| deck.deal(Operation::Create).map(|dealt| dealt.performs))
                .collect::<Vec<_>>()
        };
        assert_eq!(draws(5), draws(5));
        assert_ne!(draws(5), draws(6));
        let hits: Vec<bool> = draws(5).into_iter().flatten().collect();
        assert!((30..90).contains(&hits.len()), "{}", hits.len());
        assert!(hits.contains(&true) && hits.contains(&false));
    }

    #[test]
    fn a_fault_is_put_back_only_into_its_own_list() {
        let mut deck = Deck::new(1, vec![Fault::new(FaultKind::FlipBack).times(1)]);
        let dealt = deck.deal(Operation::List).unwrap();
        deck.put_back(&dealt);
        assert_eq!(deck.faults()[0].count, Some(1));
        let dealt = deck.deal(Operation::List).unwrap();
        deck.replace(vec![Fault::new(FaultKind::Reset).times(7)]);
        deck.put_back(&dealt);
        assert_eq!(deck.faults()[0].count, Some(7));
    }
}
