//! Loads the next rows while requests for earlier ones are in flight.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::task::join_result;
use crate::clock::Clock;
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::state::Status;
use crate::store::{Store, StoreError};

/// An invoice by its slot in the schedule.
pub(super) type ScheduledInvoice = (u32, InvoiceId);

/// Invoices that one request covers, as just loaded.
pub(super) type Group = Vec<Invoice>;

/// The result of a load.
pub(super) struct Loaded {
    /// In the order requested: each group is one request.
    pub(super) groups: Vec<Vec<ScheduledInvoice>>,
    pub(super) invoices: Result<HashMap<InvoiceId, Invoice>, StoreError>,
    /// Invoices whose creation was not sent before this load.
    first_creations: HashSet<InvoiceId>,
}

/// The loads of one account, one at a time.
#[derive(Default)]
pub(super) struct Loader {
    /// Groups waiting for their request.
    ready: VecDeque<Group>,
    /// The invoices among them whose creation was never sent.
    first_creations: HashSet<InvoiceId>,
    under_way: Option<JoinHandle<Loaded>>,
}

impl Loader {
    /// Number of requests waiting to be made.
    pub(super) fn count_ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn is_loading(&self) -> bool {
        self.under_way.is_some()
    }

    /// Number of invoices that the waiting requests are about.
    pub(super) fn count_invoices(&self) -> usize {
        self.ready.iter().map(Vec::len).sum()
    }

    pub(super) fn pop(&mut self) -> Option<Group> {
        self.ready.pop_front()
    }

    /// Puts back a group that could not be requested now; it is the next one.
    pub(super) fn push_front(&mut self, group: Group) {
        self.ready.push_front(group);
    }

    pub(super) fn push(&mut self, group: Group) {
        self.ready.push_back(group);
    }

    /// Whether the creation of `invoice` was never sent before.
    pub(super) fn is_first_creation(&self, invoice: InvoiceId) -> bool {
        self.first_creations.contains(&invoice)
    }

    /// Drops everything that waits for a request.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        // A load in progress may be marking creations as sent: it is left to finish.
        self.under_way = None;
    }

    /// Begins to load `groups`; `creates`: creations among them will be sent.
    pub(super) fn begin(
        &mut self,
        groups: Vec<Vec<ScheduledInvoice>>,
        creates: bool,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) {
        let waiting: HashSet<InvoiceId> = self.ready.iter().flatten().map(|i| i.id).collect();
        self.first_creations.retain(|id| waiting.contains(id));
        self.under_way = Some(tokio::spawn(async move {
            let ids: Vec<InvoiceId> = groups.iter().flatten().map(|(_, id)| *id).collect();
            let mut first_creations = HashSet::new();
            let invoices = if creates {
                load(&ids, &mut first_creations, store.as_ref(), clock.as_ref()).await
            } else {
                let loaded = store.load(&ids).await;
                loaded.map(|all| all.into_iter().map(|i| (i.id, i)).collect())
            };
            Loaded {
                groups,
                invoices,
                first_creations,
            }
        }));
    }

    /// Waits for the end of the load in progress; never returns without one. May be dropped and
    /// called again.
    pub(super) async fn wait_for_rows(&mut self) -> Loaded {
        match &mut self.under_way {
            Some(load) => {
                let loaded = load.await;
                self.under_way = None;
                let loaded = join_result(loaded);
                self.first_creations.extend(&loaded.first_creations);
                loaded
            }
            None => std::future::pending().await,
        }
    }
}

/// Loads the rows, then marks the creations that are about to be sent; rows deleted or withdrawn in between
/// are left out.
async fn load(
    ids: &[InvoiceId],
    first_creations: &mut HashSet<InvoiceId>,
    store: &dyn Store,
    clock: &dyn Clock,
) -> Result<HashMap<InvoiceId, Invoice>, StoreError> {
    let invoices = store.load(ids).await?;
    let unsent: HashSet<InvoiceId> = invoices
        .iter()
        .filter(|i| i.facts.status == Status::Requested && i.facts.create_sent_at.is_none())
        .map(|invoice| invoice.id)
        .collect();
    let mut by_id: HashMap<InvoiceId, Invoice> = invoices.into_iter().map(|i| (i.id, i)).collect();
    if unsent.is_empty() {
        return Ok(by_id);
    }
    let now = clock.now();
    // In the original order, so that simulated runs are repeatable.
    let in_order: Vec<InvoiceId> = ids
        .iter()
        .copied()
        .filter(|id| unsent.contains(id))
        .collect();
    let marked = store.mark_creations_sent(&in_order, now).await?;
    first_creations.extend(marked);
    for id in in_order {
        if !first_creations.contains(&id) {
            by_id.remove(&id);
        } else if let Some(invoice) = by_id.get_mut(&id) {
            invoice.facts.create_sent_at = Some(now);
        }
    }
    Ok(by_id)
}
