//! Rows whose turn has come, loaded while earlier ones are asked about.

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

/// Invoices that one request covers, as they are now.
pub(super) type Group = Vec<Invoice>;

/// What a load brought.
pub(super) struct Loaded {
    /// As asked for: each group is one request.
    pub(super) groups: Vec<Vec<ScheduledInvoice>>,
    pub(super) invoices: Result<HashMap<InvoiceId, Invoice>, StoreError>,
    /// Those whose creation was not sent before this load.
    first_creations: HashSet<InvoiceId>,
}

/// The loads of one account, one at a time.
#[derive(Default)]
pub(super) struct Loader {
    /// Groups that wait for their request.
    ready: VecDeque<Group>,
    /// Of those, the ones whose creation was never sent.
    first_creations: HashSet<InvoiceId>,
    under_way: Option<JoinHandle<Loaded>>,
}

impl Loader {
    /// Requests that wait to be made.
    pub(super) fn count_ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn is_loading(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.under_way.is_none()
    }

    pub(super) fn pop(&mut self) -> Option<Group> {
        self.ready.pop_front()
    }

    /// It could not be asked about now: the next one to be.
    pub(super) fn push_front(&mut self, group: Group) {
        self.ready.push_front(group);
    }

    pub(super) fn push(&mut self, group: Group) {
        self.ready.push_back(group);
    }

    /// Whether the creation that `invoice` waits for was never sent before.
    pub(super) fn is_first_creation(&self, invoice: InvoiceId) -> bool {
        self.first_creations.contains(&invoice)
    }

    /// What waits is not asked about any more.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        // A load under way may be marking creations as sent: it comes to its end by itself.
        self.under_way = None;
    }

    /// Begins to load `groups`.
    pub(super) fn begin(
        &mut self,
        groups: Vec<Vec<ScheduledInvoice>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) {
        let waiting: HashSet<InvoiceId> = self.ready.iter().flatten().map(|i| i.id).collect();
        self.first_creations.retain(|id| waiting.contains(id));
        self.under_way = Some(tokio::spawn(async move {
            let ids: Vec<InvoiceId> = groups.iter().flatten().map(|(_, id)| *id).collect();
            let mut first_creations = HashSet::new();
            let loaded = load(&ids, &mut first_creations, store.as_ref(), clock.as_ref());
            let invoices = loaded.await;
            Loaded {
                groups,
                invoices,
                first_creations,
            }
        }));
    }

    /// The end of the load under way; never when there is none. May be dropped and called again.
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

/// The rows as they are, but for those gone meanwhile. It is written down first that creations are
/// about to be sent; what was withdrawn before that is left out.
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
    // In their order, or no simulated run could be repeated.
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
