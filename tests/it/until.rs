//! Waiting for an event that must come.

use std::time::Duration;

use crate::PATIENCE;

/// Repeats the query until there is an answer; one that never comes fails the test.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it happens in the end")
}
