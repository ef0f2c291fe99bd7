//! Faults within the data: good answers that a client must not believe, or must read with care.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fault::FaultKind;
use super::wire;

/// Orders on a page that is short.
const SHORT_PAGE: usize = 100;

/// The body with `kind` done to every order in it, or `None` when there is nothing to do it to.
pub(super) fn spoil(
    kind: FaultKind,
    status: Option<&str>,
    body: &[u8],
    rng: &mut fastrand::Rng,
) -> Option<Bytes> {
    let mut envelope: Value = serde_json::from_slice(body).ok()?;
    let mut touched = false;
    if kind == FaultKind::NullFields {
        envelope["message"] = Value::Null;
        touched = true;
    }
    let data = &mut envelope["data"];
    if kind == FaultKind::ShortPage {
        let items = data.get_mut("items")?.as_array_mut()?;
        touched = items.len() > SHORT_PAGE;
        items.truncate(SHORT_PAGE);
    }
    let objects = match data.get_mut("items") {
        Some(Value::Array(items)) => items.as_mut_slice(),
        _ => std::slice::from_mut(data),
    };
    for object in objects.iter_mut().filter_map(Value::as_object_mut) {
        touched |= match kind {
            FaultKind::WrongTypeId => replace(object, "id", |id| wrong_id(id, rng)),
            FaultKind::UnknownStatus => {
                replace(object, "status", |_| status.unwrap_or("ON_HOLD").into())
            }
            FaultKind::NullFields => null_fields(object),
            FaultKind::FlipBack => flip_back(object),
            _ => false,
        };
    }
    touched.then(|| wire::json(&envelope))
}

fn replace(
    object: &mut Map<String, Value>,
    field: &str,
    with: impl FnOnce(&Value) -> Value,
) -> bool {
    let Some(value) = object.get_mut(field) else {
        return false;
    };
    *value = with(value);
    true
}

/// A boolean, a float (as a careless gateway makes of a long number), or the id in an array.
fn wrong_id(id: &Value, rng: &mut fastrand::Rng) -> Value {
    let number = id
        .as_f64()
        .or_else(|| id.as_str()?.parse().ok())
        .unwrap_or_default();
    [Value::Bool(true), json!(number), json!([id])][rng.usize(0..3)].clone()
}

fn null_fields(object: &mut Map<String, Value>) -> bool {
    let spared = ["id", "status"];
    for (_, value) in object
        .iter_mut()
        .filter(|(name, _)| !spared.contains(&name.as_str()))
    {
        *value = Value::Null;
    }
    // Those that are absent for want of a value are null as well.
    let absent: &[&str] = match (object.contains_key("id"), object.contains_key("externalId")) {
        (true, true) => &[
            "paymentDateTime",
            "selectedPaymentOption",
            "autoConversionCurrency",
        ],
        (true, false) => &["completedDateTime", "autoConversionCurrency"],
        (false, _) => &[],
    };
    object.extend(absent.iter().map(|name| ((*name).to_owned(), Value::Null)));
    true
}

fn flip_back(object: &mut Map<String, Value>) -> bool {
    let ended = object
        .get("status")
        .is_some_and(|status| status != "ACTIVE");
    if ended {
        object.insert("status".into(), "ACTIVE".into());
        for field in [
            "completedDateTime",
            "paymentDateTime",
            "selectedPaymentOption",
        ] {
            object.remove(field);
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"status":"SUCCESS","message":"","data":{"items":[
        {"id":9906750163000781,"status":"PAID","externalId":"A","paymentDateTime":"x","selectedPaymentOption":{}},
        {"id":9906750163000783,"status":"ACTIVE","externalId":"B"}]}}"#;

    fn spoiled(kind: FaultKind, body: &str, seed: u64) -> Option<Value> {
        let body = spoil(
            kind,
            None,
            body.as_bytes(),
            &mut fastrand::Rng::with_seed(seed),
        )?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn ids_become_every_wrong_type() {
        let ids: Vec<Value> = (0..40)
            .map(|seed| {
                spoiled(FaultKind::WrongTypeId, PAGE, seed).unwrap()["data"]["items"][0]["id"]
                    .clone()
            })
            .collect();
        assert!(ids.iter().any(Value::is_boolean) && ids.iter().any(Value::is_array));
        assert!(
            ids.iter()
                .any(|id| id.is_f64() && id.as_f64() == Some(9_906_750_163_000_780.0))
        );
    }

    #[test]
    fn ended_orders_come_alive_and_others_stay() {
        let page = spoiled(FaultKind::FlipBack, PAGE, 0).unwrap();
        assert_eq!(
            page["data"]["items"][0],
            json!({"id": 9_906_750_163_000_781_u64, "status": "ACTIVE", "externalId": "A"})
        );
        let active = r#"{"status":"SUCCESS","data":{"id":"5","status":"ACTIVE"}}"#;
        assert_eq!(spoiled(FaultKind::FlipBack, active, 0), None);
    }

    #[test]
    fn null_leaves_id_and_status() {
        let page = spoiled(FaultKind::NullFields, PAGE, 0).unwrap();
        assert_eq!(page["message"], Value::Null);
        let order = &page["data"]["items"][1];
        assert_eq!(
            (&order["id"], &order["status"]),
            (&json!(9_906_750_163_000_783_u64), &json!("ACTIVE"))
        );
        assert_eq!(order.get("externalId"), Some(&Value::Null));
        assert_eq!(order.get("selectedPaymentOption"), Some(&Value::Null));
    }

    #[test]
    fn a_count_has_no_order_to_spoil() {
        let count = r#"{"status":"SUCCESS","message":"","data":{"totalAmount":3}}"#;
        assert_eq!(spoiled(FaultKind::UnknownStatus, count, 0), None);
        assert_eq!(spoiled(FaultKind::WrongTypeId, count, 0), None);
        assert_eq!(
            spoiled(FaultKind::NullFields, count, 0).unwrap()["data"],
            json!({"totalAmount": null})
        );
    }
}
