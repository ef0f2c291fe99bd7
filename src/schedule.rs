//! Turns by the calendar. The cron library starts tasks and forgets them: here each job is guarded
//! against overlapping itself, and what is due is known by the database, not by a missed turn.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// One turn of a job.
pub type JobRun = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The running calendar; it ends when dropped.
pub struct Calendar {
    scheduler: JobScheduler,
}

impl Calendar {
    /// Starts `jobs`: name, cron expression with seconds (UTC), turn.
    ///
    /// # Errors
    /// When an expression is none; the configuration has checked it before.
    pub async fn start(
        jobs: Vec<(&'static str, String, JobRun)>,
    ) -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        for (name, cron, turn) in jobs {
            let guard = Arc::new(Mutex::new(()));
            let job = Job::new_async(cron, move |_, _| {
                let (guard, turn) = (Arc::clone(&guard), Arc::clone(&turn));
                Box::pin(async move {
                    if let Ok(_held) = guard.try_lock() {
                        turn().await;
                    } else {
                        tracing::warn!(job = name, "still at its last turn: this one is left out");
                    }
                })
            })?;
            scheduler.add(job).await?;
        }
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Starts no more turns.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the calendar did not stop cleanly");
        }
    }
}
