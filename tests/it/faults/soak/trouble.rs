//! The faults in a wave, besides its kill.

use std::time::Duration;

use payrecond::sandbox::{Fault, FaultKind};
use sqlx::Connection as _;

use super::Soak;
use super::readers::Stdout;
use crate::faults::program::Program;

/// Duration of one fault.
const LASTS: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// The provider fails in many ways.
    Provider,
    /// A program holds the write lock.
    Locked,
    /// Stdout is not read.
    Stalled,
    /// A program keeps a SELECT open, which blocks checkpoints.
    Pinned,
}

impl Trouble {
    pub fn of_wave(n: usize) -> Self {
        // Four kinds and two strategies: over eight waves, each combination occurs.
        [Self::Provider, Self::Locked, Self::Stalled, Self::Pinned][(n + n / 4) % 4]
    }

    pub async fn play(self, soak: &mut Soak, program: &mut Program, reader: &mut Stdout) {
        let shop = &soak.shop;
        match self {
            Self::Provider => {
                let wait = Fault {
                    retry_after: Some("1".into()),
                    ..Fault::new(FaultKind::Status429).with_probability(0.02)
                };
                let others = [
                    FaultKind::Status500,
                    FaultKind::Status502Html,
                    FaultKind::Reset,
                    FaultKind::TruncatedBody,
                    FaultKind::Timeout,
                ];
                let others = others.map(|kind| Fault::new(kind).with_probability(0.05));
                shop.world
                    .set_faults([vec![wait], others.to_vec()].concat());
                tokio::time::sleep(LASTS).await;
                shop.answer_again();
            }
            Self::Locked => {
                let mut holder = soak.connect().await;
                sqlx::query("BEGIN IMMEDIATE")
                    .execute(&mut holder)
                    .await
                    .unwrap();
                tokio::time::sleep(LASTS).await;
                holder.close().await.unwrap();
            }
            Self::Stalled => {
                let _held = reader.gate.lock().await;
                tokio::time::sleep(LASTS).await;
            }
            Self::Pinned => {
                let mut holder = soak.connect().await;
                for sql in ["BEGIN", "SELECT count(*) FROM outbox"] {
                    sqlx::query(sql).execute(&mut holder).await.unwrap();
                }
                tokio::time::sleep(LASTS).await;
                holder.close().await.unwrap();
            }
        }
        soak.gauges.read(&soak.shop, program);
    }
}
