//! Many orders in one request. One that spoils it spoils it for all.

use payrecond::domain::invoice::OrderId;
use payrecond::provider::{FetchedOrder, ProviderError};

use crate::fault::{Fault, Lie};
use crate::provider::SimProvider;

impl SimProvider {
    /// All of these, or none.
    pub async fn look_at_all(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<FetchedOrder>, ProviderError> {
        let limit = self.shape().batch_limit() as usize;
        let how = || format!("{} orders, {limit} allowed", orders.len());
        let fits = orders.len() <= limit;
        self.world
            .trace
            .hold("no batch is larger than allowed", fits, how);
        let _under_way = self.arrive();
        self.answer_takes_time().await;
        let lie = match self.fault() {
            Some(Fault::Unheard(error) | Fault::Lost(error)) => {
                self.tell(&format!("batch of {} -> {error}", orders.len()));
                return Err(error);
            }
            Some(Fault::Lie(lie)) => Some(lie),
            None => None,
        };
        let ids: Vec<&str> = orders.iter().map(|id| id.0.as_str()).collect();
        if let Err(error) = self.spoil(&ids).await {
            self.tell(&format!("batch of {} is spoilt -> {error}", orders.len()));
            return Err(error);
        }
        let liar = self.world.lock().rng.usize(..orders.len().max(1));
        let places = orders.iter().enumerate();
        let told: Vec<FetchedOrder> = places
            .map(|(place, order)| self.look_up(order, lie.filter(|_| place == liar)))
            .collect();
        let found = told
            .iter()
            .filter(|one| matches!(one, FetchedOrder::Seen(_)))
            .count();
        let lied = lie
            .map(|lie: Lie| format!(" ({lie:?})"))
            .unwrap_or_default();
        self.tell(&format!("batch of {} -> {found} found{lied}", orders.len()));
        Ok(told)
    }
}
