//! A list by position, read page by page.

use std::collections::HashSet;

use super::{Audit, AuditError, AuditProgress};
use crate::domain::list_reading::ListReading;
use crate::domain::observation::ObservedOrder;
use crate::provider::{ListItem, ListOrders, PageVisitor};

impl Audit {
    /// Reads page by page until the list is known to be read whole.
    pub(super) async fn read_list(
        &self,
        orders: &dyn ListOrders,
        reading: &mut AuditProgress,
    ) -> Result<(), AuditError> {
        let limit = orders.page_limit();
        // Where the count is not told, only a page behind the last order shows that there are no more.
        let count = self.try_request(&|| orders.count()).await?;
        let mut list = ListReading::new(count.ok());
        let mut last_page = HashSet::new();
        while let Some(offset) = list.next() {
            let asked_at = self.clock.now();
            let page = self
                .request(|| async move {
                    let mut all = All(Vec::new());
                    orders.page(offset, limit, &mut all).await?;
                    Ok(all.0)
                })
                .await?;
            let ids = || page.iter().map(|order| order.order_id.0.clone());
            list.learn(page.len() as u64, ids().any(|id| !last_page.contains(&id)));
            last_page = ids().collect();
            reading.orders = list.orders();
            self.compare_page(page, asked_at, reading).await?;
        }
        Ok(())
    }
}

/// Takes every item.
struct All(Vec<ObservedOrder>);

impl PageVisitor for All {
    fn wants(&mut self, _: &ListItem<'_>) -> bool {
        true
    }

    fn take(&mut self, _: u64, observed: ObservedOrder) {
        self.0.push(observed);
    }
}
