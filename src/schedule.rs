//! Jobs by cron expressions. The cron library starts tasks and drops their handles, so each job is
//! guarded against overlapping runs, and a missed run loses nothing, because due work is found in
//! the database.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// One run of a job.
pub type JobRun = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The running scheduler; it stops when dropped.
pub struct Calendar {
    scheduler: JobScheduler,
}

impl Calendar {
    /// Starts `jobs`: name, cron expression with seconds (UTC), run.
    ///
    /// # Errors
    /// If a cron expression is invalid, which the configuration excludes.
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
                        tracing::warn!(job = name, "previous run still active; skipping");
                    }
                })
            })?;
            scheduler.add(job).await?;
        }
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Starts no more runs.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "job scheduler did not stop cleanly");
        }
    }
}
