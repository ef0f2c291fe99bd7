//! Faults in the data: successful answers that a client must not believe, or must parse with care.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fault::FaultKind;
use crate::sandbox::answer::{self, SimulatedAnswer};

/// Where a provider's answers contain orders, and which fields a fault alters.
pub(in crate::sandbox) struct DataShape {
    /// Paths to the orders, an array or one object; the first that exists is used.
    pub paths: &'static [&'static [&'static str]],
    pub id: &'static str,
    pub status: &'static str,
    /// The status of an open order, and an undocumented one.
    pub open: &'static str,
    pub unknown: &'static str,
    /// The fields that an order loses when it is open again.
    pub final_fields: &'static [&'static str],
    /// Other fields that may also be null.
    pub beside: &'static [&'static str],
    /// Fields that are absent without a value, by a field that identifies the kind of object.
    pub absent: &'static [(&'static str, &'static [&'static str])],
    /// Number of entries on a short page; `None` where a shorter page would lose entries.
    pub short_page: Option<usize>,
    /// The field that has the number of the next page's first entry, where a page tells it.
    pub next_page: Option<&'static str>,
}

/// The body with `kind` applied to every order in it, or `None` if there is none.
pub(in crate::sandbox) fn spoil(
    shape: &DataShape,
    kind: FaultKind,
    status: Option<&str>,
    answer: &SimulatedAnswer,
    rng: &mut fastrand::Rng,
) -> Option<Bytes> {
    let mut whole: Value = serde_json::from_slice(&answer.body).ok()?;
    let mut touched = false;
    if kind == FaultKind::NullFields {
        for name in shape.beside {
            whole[*name] = Value::Null;
            touched = true;
        }
    }
    let path = shape
        .paths
        .iter()
        .find(|path| follow(&whole, path).is_some())?;
    let data = path
        .iter()
        .try_fold(&mut whole, |at, name| at.get_mut(*name))?;
    if kind == FaultKind::ShortPage {
        let items = data.as_array_mut()?;
        let most = shape.short_page?;
        touched = items.len() > most;
        items.truncate(most);
        if touched && let Some(next) = shape.next_page {
            whole[next] = (answer.page_start + most).to_string().into();
        }
        return touched.then(|| answer::json(&whole));
    }
    let objects = match data {
        Value::Array(items) => items.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for object in objects.iter_mut().filter_map(Value::as_object_mut) {
        touched |= match kind {
            FaultKind::WrongTypeId => replace(object, shape.id, |id| wrong_id(id, rng)),
            FaultKind::UnknownStatus => {
                let word = status.unwrap_or(shape.unknown);
                replace(object, shape.status, |_| word.into())
            }
            FaultKind::NullFields => null_fields(shape, object),
            FaultKind::FlipBack => flip_back(shape, object),
            _ => false,
        };
    }
    touched.then(|| answer::json(&whole))
}

fn follow<'a>(whole: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let found = path.iter().try_fold(whole, |at, name| at.get(*name))?;
    (found.is_array() || found.is_object()).then_some(found)
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

/// A boolean, a float (as a careless gateway writes a long number), or the id in an array.
fn wrong_id(id: &Value, rng: &mut fastrand::Rng) -> Value {
    let number = id
        .as_f64()
        .or_else(|| id.as_str()?.parse().ok())
        .unwrap_or_default();
    [Value::Bool(true), json!(number), json!([id])][rng.usize(0..3)].clone()
}

fn null_fields(shape: &DataShape, object: &mut Map<String, Value>) -> bool {
    let absent: Vec<&str> = shape
        .absent
        .iter()
        .find(|(mark, _)| object.contains_key(*mark))
        .map(|(_, names)| names.to_vec())
        .unwrap_or_default();
    for (_, value) in object
        .iter_mut()
        .filter(|(name, _)| ![shape.id, shape.status].contains(&name.as_str()))
    {
        *value = Value::Null;
    }
    object.extend(absent.iter().map(|name| ((*name).to_owned(), Value::Null)));
    true
}

fn flip_back(shape: &DataShape, object: &mut Map<String, Value>) -> bool {
    let status = object.get(shape.status);
    let ended = status.is_some_and(|status| status != shape.open);
    if ended {
        object.insert(shape.status.into(), shape.open.into());
        for field in shape.final_fields {
            object.remove(*field);
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: DataShape = DataShape {
        paths: &[&["data", "items"], &["data"]],
        id: "id",
        status: "status",
        open: "ACTIVE",
        unknown: "ON_HOLD",
        final_fields: &["paymentDateTime", "selectedPaymentOption"],
        beside: &["message"],
        absent: &[("externalId", &["paymentDateTime", "selectedPaymentOption"])],
        short_page: Some(1),
        next_page: Some("next"),
    };

    const PAGE: &str = r#"{"status":"SUCCESS","message":"","data":{"items":[
        {"id":9906750163000781,"status":"PAID","externalId":"A","paymentDateTime":"x","selectedPaymentOption":{}},
        {"id":9906750163000783,"status":"ACTIVE","externalId":"B"}]}}"#;

    fn spoiled(kind: FaultKind, body: &str, seed: u64) -> Option<Value> {
        let whole: Value = serde_json::from_str(body).unwrap();
        let answer = SimulatedAnswer::data(&whole).starting_at(30);
        let mut rng = fastrand::Rng::with_seed(seed);
        let body = spoil(&SHAPE, kind, None, &answer, &mut rng)?;
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
    fn ended_orders_flip_back_and_others_stay() {
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
    fn a_count_has_no_order_to_alter() {
        let count = r#"{"status":"SUCCESS","message":"","data":{"totalAmount":3}}"#;
        assert_eq!(spoiled(FaultKind::UnknownStatus, count, 0), None);
        assert_eq!(spoiled(FaultKind::WrongTypeId, count, 0), None);
        assert_eq!(
            spoiled(FaultKind::NullFields, count, 0).unwrap()["data"],
            json!({"totalAmount": null})
        );
    }

    #[test]
    fn a_short_page_ends_before_the_entries_do() {
        let page = spoiled(FaultKind::ShortPage, PAGE, 0).unwrap();
        assert_eq!(page["data"]["items"].as_array().unwrap().len(), 1);
        assert_eq!(page["next"], "31", "what it lost is on the next page");
        let short = r#"{"status":"SUCCESS","data":{"items":[{"id":1}]}}"#;
        assert_eq!(spoiled(FaultKind::ShortPage, short, 0), None);
    }
}
