//! The table of transitions, as triggers enforce it for every writer.

use payrecond::domain::state::Status;

use super::{Case, REQUESTED, Scene, event, gives, refused, write_move};

/// Transitions that lead from an insert to `status`, for ids of the scene.
fn path_to(status: Status) -> (i64, &'static [&'static str]) {
    match status {
        Status::Requested => (REQUESTED, &[]),
        Status::Pending => (REQUESTED, &["pending"]),
        Status::Paid => (REQUESTED, &["pending", "paid"]),
        Status::Expired => (REQUESTED, &["pending", "expired"]),
        Status::Cancelled => (REQUESTED, &["pending", "cancelled"]),
        Status::Rejected => (REQUESTED, &["rejected"]),
        Status::Review => (REQUESTED, &["pending", "review"]),
    }
}

#[tokio::test]
async fn the_triggers_allow_the_same_transitions_as_the_domain() {
    let mut cases: Vec<Case> = Vec::new();
    for from in Status::ALL {
        let (id, path) = path_to(from);
        let mut before = String::new();
        for to in path {
            before += &(event(id, to) + &write_move(id, to));
        }
        for to in Status::ALL {
            let with_event = format!("{before}{}", event(id, to.as_str()));
            let sql = write_move(id, to.as_str());
            let sql = sql.trim().trim_end_matches(';');
            let name = format!("{from} to {to}");
            if from == to {
                // An event that changes no status, only facts. It counts like any other.
                cases.push(gives(&name, sql, "SELECT changes()", "1").after(&with_event));
            } else if from.may_become(to) {
                cases.push(gives(&name, sql, "SELECT changes()", "1").after(&with_event));
                let message = "a change needs its row in the outbox";
                cases.push(
                    refused(&format!("{name} without its event"), sql, message).after(&before),
                );
            } else {
                cases.push(
                    refused(&name, sql, "invoices.status: there is no such move")
                        .after(&with_event),
                );
            }
        }
        for word in ["'PAID'", "''", "NULL", "1", "x'70616964'"] {
            let sql = format!(
                "UPDATE invoices SET status = {word}, version = version + 1, daemon_writes = daemon_writes + 1 WHERE id = {id}"
            );
            cases.push(
                refused(&format!("{from} to {word}"), &sql, "there is no such move").after(&before),
            );
        }
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn versions_count_events_without_a_gap() {
    let set = |version: &str| {
        format!(
            "UPDATE invoices SET version = {version}, status = 'paid', daemon_writes = daemon_writes + 1 WHERE id = 1"
        )
    };
    let paid = event(1, "paid");
    let other = paid.replace("version + 1,", "version + 2,");
    let cases = vec![
        refused("no step", &set("version"), "invoices.version: counts").after(&paid),
        refused("two steps", &set("version + 2"), "invoices.version: counts").after(&paid),
        refused("back", &set("-1"), "invoices.version: counts").after(&paid),
        refused("half a step", &set("0.5"), "invoices.version: counts").after(&paid),
        refused(
            "the event of another status",
            &set("version + 1"),
            "a change needs its row",
        )
        .after(&event(1, "expired")),
        refused(
            "version alone",
            "UPDATE invoices SET version = 1, daemon_writes = daemon_writes + 1 WHERE id = 1",
            "a change needs its row",
        ),
        refused(
            "an event that skips a version",
            other.trim().trim_end_matches(';'),
            "outbox.version: an event carries",
        ),
        gives(
            "as it should be",
            &set("version + 1"),
            "SELECT status || version FROM invoices WHERE id = 1",
            "paid1",
        )
        .after(&paid),
    ];
    Scene::set().await.play(cases).await;
}
