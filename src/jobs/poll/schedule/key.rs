//! Finds entries by fingerprints of the ids that answers contain, and of terms.

use std::hash::BuildHasher as _;

use super::Schedule;
use crate::domain::invoice::Invoice;
use crate::domain::money::canonical;
use crate::domain::state::Status;
use crate::store::DueRow;

/// The id that identifies an invoice in answers.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum EntryKey<'a> {
    Order(&'a str),
    /// If the order's id is not known.
    External(&'a str),
    /// If there is no order yet.
    Row(i64),
}

impl Schedule {
    /// The slot of the order with this id.
    pub(in crate::jobs::poll) fn slot_of_order(&self, order: &str) -> Option<u32> {
        self.slot_of_key(self.hash(EntryKey::Order(order)))
    }

    /// The slot that matches an order of the list, and the fingerprint of its id.
    pub(in crate::jobs::poll) fn slot_in_list(
        &self,
        order: &str,
        external_id: Option<&str>,
    ) -> (Option<u32>, u64) {
        let hash = self.hash(EntryKey::Order(order));
        let by_order = self.slot_of_key(hash);
        let by_external = || self.slot_of_key(self.hash(EntryKey::External(external_id?)));
        (by_order.or_else(by_external), hash)
    }

    /// The slot of an invoice, by the ids that it had when it was read.
    pub(in crate::jobs::poll) fn slot_of(&self, invoice: &Invoice) -> Option<u32> {
        let order = invoice.facts.order_id.as_ref().map(|id| id.0.as_str());
        let key = key(
            invoice.id.0,
            order,
            &invoice.external_id.0,
            invoice.facts.status,
        );
        self.slot_of_key(self.hash(key))
    }

    /// Fingerprint of an order's id.
    pub(in crate::jobs::poll) fn order_hash(&self, order: &str) -> u64 {
        self.hash(EntryKey::Order(order))
    }

    pub(super) fn key_of_row(&self, row: &DueRow) -> u64 {
        let order = row.order_id.as_ref().map(|id| id.0.as_str());
        self.hash(key(row.id.0, order, &row.external_id.0, row.status))
    }

    pub(super) fn hash(&self, key: EntryKey<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn slot_of_key(&self, key: u64) -> Option<u32> {
        let is_it = |&slot: &u32| self.entries[slot].key == key;
        self.by_key.find(key, is_it).copied()
    }

    /// A fingerprint of external id and amount; sums equal by value give the same fingerprint.
    pub(in crate::jobs::poll) fn terms(
        &self,
        external_id: Option<&str>,
        amount: Option<(&str, &str)>,
    ) -> u32 {
        let amount = amount.and_then(|(value, currency)| canonical(value, currency));
        let hash = self.hasher.hash_one((external_id, amount));
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    pub(super) fn terms_of(&self, row: &DueRow) -> u32 {
        let amount = row.amount.as_ref();
        let amount = amount.map(|money| (money.value.as_str(), money.currency.as_str()));
        self.terms(Some(&row.external_id.0), amount)
    }
}

fn key<'a>(id: i64, order: Option<&'a str>, external_id: &'a str, status: Status) -> EntryKey<'a> {
    match (order, status) {
        (Some(order), _) => EntryKey::Order(order),
        (None, Status::Requested) => EntryKey::Row(id),
        (
            None,
            Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review,
        ) => EntryKey::External(external_id),
    }
}
