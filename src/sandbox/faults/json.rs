//! Faults in JSON: an array, given inline, in a file or in a request.
//!
//! Errors name the field and the accepted values, since a silently ignored fault would make a test
//! pass without testing anything.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::fault::{Fault, FaultKind, FaultTarget};
use crate::sandbox::operation::{Operation, SimulatedProvider};

/// In the format of `PUT /sandbox/faults`.
impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Map::new();
        object.insert("kind".into(), self.kind.name().into());
        object.insert("on".into(), target_name(self.on).into());
        object.insert("probability".into(), self.probability.into());
        let optional = [
            ("count", self.count.map(Value::from)),
            ("retry_after", self.retry_after.clone().map(Value::from)),
            ("status", self.status.clone().map(Value::from)),
            ("after", self.after.map(Value::from)),
            ("gzip", self.gzip.then(|| Value::from(true))),
        ];
        object.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        object.serialize(serializer)
    }
}

/// Why a list of faults is invalid. The text names the field and the accepted values.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("faults in {path} could not be read: {source}; expected a JSON array, or the path of a file with one", path = path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("faults are not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
}

/// Parses faults from `text_or_path`: a JSON array, or the path of a file that contains one.
pub fn parse_faults(text_or_path: &str) -> Result<Vec<Fault>, FaultError> {
    let text = text_or_path.trim();
    if text.is_empty() || text.starts_with(['[', '{', '"']) {
        return faults_of_json(text.as_bytes());
    }
    let path = PathBuf::from(text);
    match std::fs::read(&path) {
        Ok(content) => faults_of_json(&content),
        Err(source) => Err(FaultError::Unreadable { path, source }),
    }
}

/// The body of `PUT /sandbox/faults`.
pub(in crate::sandbox) fn faults_of_json(json: &[u8]) -> Result<Vec<Fault>, FaultError> {
    match serde_json::from_slice(json)? {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(place, item)| fault_of(place, item))
            .collect(),
        _ => Err(field_error(
            "faults",
            r#"not an array; expected: [{"kind":"status_429","on":"preview","count":5}, …]"#,
        )),
    }
}

fn fault_of(place: usize, item: &Value) -> Result<Fault, FaultError> {
    let whole = format!("faults[{place}]");
    let Value::Object(object) = item else {
        return Err(field_error(whole, "not an object with \"kind\""));
    };
    let at = |name: &str| format!("{whole}.{name}");
    let kind = object
        .get("kind")
        .ok_or_else(|| field_error(at("kind"), one_of(&Value::Null, kind_names())))?;
    let mut fault = Fault::new(
        named(FaultKind::ALL, FaultKind::name, kind)
            .ok_or_else(|| field_error(at("kind"), one_of(kind, kind_names())))?,
    );
    for (name, value) in object {
        set_field(&mut fault, name, value).map_err(|problem| field_error(at(name), problem))?;
    }
    Ok(fault)
}

fn set_field(fault: &mut Fault, name: &str, value: &Value) -> Result<(), String> {
    let kind = fault.kind;
    let only_for = |fits: bool| {
        if fits {
            Ok(())
        } else {
            Err(format!("has no meaning for {}", kind.name()))
        }
    };
    match name {
        "kind" => {}
        "on" if value == "any" => fault.on = None,
        "on" => fault.on = Some(target_of(value)?),
        "probability" => {
            let chance = value.as_f64().filter(|chance| (0.0..=1.0).contains(chance));
            fault.probability = chance.ok_or_else(|| format!("{value}; expected: a number from 0 to 1"))?;
        }
        "count" => fault.count = Some(value.as_u64().ok_or_else(|| format!("{value}; expected: a whole number from 0"))?),
        "retry_after" => {
            // Accepted with any kind, like the other common fields; only a 429 uses it.
            let wait = retry_after_of(value)?;
            fault.retry_after = (kind == FaultKind::Status429).then_some(wait);
        }
        "status" => {
            only_for(matches!(kind, FaultKind::EnvelopeError | FaultKind::UnknownStatus))?;
            fault.status = Some(value.as_str().ok_or_else(|| format!("{value}; expected: text"))?.to_owned());
        }
        "after" => {
            only_for(kind.takes_after())?;
            fault.after = Some(value.as_bool().ok_or_else(|| format!("{value}; expected: true, false"))?);
        }
        "gzip" => {
            only_for(kind == FaultKind::HugeBody)?;
            fault.gzip = value.as_bool().ok_or_else(|| format!("{value}; expected: true, false"))?;
        }
        _ => return Err("no such field; expected: kind, on, probability, count, retry_after, status, after, gzip".into()),
    }
    Ok(())
}

/// A provider, an operation of any provider, or `provider.operation`.
fn target_of(value: &Value) -> Result<FaultTarget, String> {
    let text = value.as_str().unwrap_or_default();
    let mut operations = Operation::ALL.iter().copied();
    if let Ok(provider) = SimulatedProvider::parse(text) {
        return Ok(FaultTarget::Provider(provider));
    }
    if let Some((provider, name)) = text.split_once('.') {
        let provider = SimulatedProvider::parse(provider)?;
        let known = Operation::of(provider).find(|operation| operation.name() == name);
        let names = Operation::of(provider).map(Operation::name);
        return known
            .map(FaultTarget::Operation)
            .ok_or_else(|| one_of(value, names));
    }
    let known = operations.find(|operation| operation.name() == text);
    known
        .map(|operation| FaultTarget::Named(operation.name()))
        .ok_or_else(|| one_of(value, target_names()))
}

/// Without operations that only one provider has, of which there are many.
fn target_names() -> impl Iterator<Item = &'static str> {
    let mut names: Vec<_> = Operation::ALL.iter().map(|it| it.name()).collect();
    names.sort_unstable();
    names.dedup();
    let providers = SimulatedProvider::ALL.iter().map(|it| it.name());
    ["any"].into_iter().chain(providers).chain(names)
}

fn target_name(target: Option<FaultTarget>) -> String {
    match target {
        None => "any".into(),
        Some(FaultTarget::Provider(provider)) => provider.name().into(),
        Some(FaultTarget::Operation(operation)) => {
            format!("{}.{}", operation.provider(), operation.name())
        }
        Some(FaultTarget::Named(name)) => name.into(),
    }
}

/// Any text that is valid in a header, so that invalid values can be tested too.
fn retry_after_of(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let fits = !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if fits {
        Ok(text)
    } else {
        Err(format!(
            "{value}; expected: seconds or an HTTP date, as text or number"
        ))
    }
}

fn kind_names() -> impl Iterator<Item = &'static str> {
    FaultKind::ALL.iter().map(|kind| kind.name())
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, value: &Value) -> Option<T> {
    all.iter().copied().find(|item| value == name(*item))
}

fn one_of(value: &Value, accepted: impl Iterator<Item = &'static str>) -> String {
    let accepted = accepted.collect::<Vec<_>>().join(", ");
    if value.is_null() {
        format!("missing; expected: {accepted}")
    } else {
        format!("{value}; expected: {accepted}")
    }
}

fn field_error(field: impl Into<String>, problem: impl Into<String>) -> FaultError {
    FaultError::Field {
        field: field.into(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse_faults(text).unwrap_err().to_string()
    }

    #[test]
    fn the_form_in_the_contract_is_read() {
        let faults = parse_faults(
            r#"[{"kind":"status_429","on":"preview","probability":0.1,"count":5,"retry_after":"3"},{"kind":"reset"}]"#,
        )
        .unwrap();
        let mut expected = Fault::new(FaultKind::Status429)
            .on(FaultTarget::Named("preview"))
            .with_probability(0.1)
            .times(5);
        expected.retry_after = Some("3".into());
        assert_eq!(faults, [expected, Fault::new(FaultKind::Reset)]);
        assert_eq!(
            faults_of_json(&serde_json::to_vec(&faults).unwrap()).unwrap(),
            faults,
            "written as read"
        );
    }

    #[test]
    fn every_kind_has_its_own_name_on_the_wire() {
        for kind in FaultKind::ALL {
            let text = format!(r#"[{{"kind":"{kind}"}}]"#);
            assert_eq!(parse_faults(&text).unwrap()[0].kind, *kind);
        }
    }

    #[test]
    fn errors_name_the_field_and_the_accepted_values() {
        assert!(
            problem(r#"[{"kind":"reset"},{"kind":"status_418"}]"#)
                .starts_with("faults[1].kind: \"status_418\"; expected: status_429,")
        );
        assert!(problem(r#"[{"on":"any"}]"#).starts_with("faults[0].kind: missing; expected: "));
        assert!(
            problem(r#"[{"kind":"reset","on":"pay"}]"#)
                .contains("faults[0].on: \"pay\"; expected: any, walletpay, crypto-pay, ")
        );
        assert!(
            problem(r#"[{"kind":"reset","probability":1.1}]"#)
                .contains("probability: 1.1; expected: a number from 0 to 1")
        );
        assert!(problem(r#"[{"kind":"reset","count":-1}]"#).contains("faults[0].count"));
        assert!(parse_faults(r#"[{"kind":"reset","retry_after":"3"}]"#).is_ok());
        assert!(
            problem(r#"[{"kind":"reset","often":3}]"#)
                .contains("faults[0].often: no such field; expected: kind")
        );
        assert!(problem(r#"{"kind":"reset"}"#).contains("not an array"));
        assert!(problem("[1]").contains("faults[0]: not an object"));
        assert!(problem("[{").contains("not JSON"));
        assert!(problem("no/such/file.json").contains("no/such/file.json"));
    }

    #[test]
    fn a_fault_is_for_a_provider_an_operation_or_a_name() {
        let faults = r#"[{"kind":"reset","on":"crypto-pay"},{"kind":"reset","on":"walletpay.list"},{"kind":"reset","on":"getMe"}]"#;
        let faults = parse_faults(faults).unwrap();
        let covers = |place: usize, operation| faults[place].on.unwrap().covers(operation);
        assert!(covers(0, Operation::CryptoPayGetMe) && !covers(0, Operation::List));
        assert!(covers(1, Operation::List) && !covers(1, Operation::Create));
        assert!(covers(2, Operation::CryptoPayGetMe));
        let written = serde_json::to_vec(&faults).unwrap();
        assert_eq!(faults_of_json(&written).unwrap(), faults);
        assert!(
            problem(r#"[{"kind":"reset","on":"walletpay.getMe"}]"#)
                .ends_with("expected: create, preview, list, amount")
        );
        assert!(
            problem(r#"[{"kind":"reset","on":"nobody.list"}]"#).contains("expected: walletpay, ")
        );
    }

    #[test]
    fn a_file_is_read_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"[{"kind":"timeout","after":true}]"#).unwrap();
        assert_eq!(
            parse_faults(file.path().to_str().unwrap()).unwrap()[0].after,
            Some(true)
        );
    }
}
