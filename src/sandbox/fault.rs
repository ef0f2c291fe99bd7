//! What can be made to go wrong, and how it is asked for.
//!
//! A list of faults is tried from the top on each request that has a good key and fits the rate
//! limit; the first that matches and hits is the one that happens.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// One of the four store operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Create,
    Preview,
    List,
    Amount,
}

impl Operation {
    pub const ALL: [Operation; 4] = [
        Operation::Create,
        Operation::Preview,
        Operation::List,
        Operation::Amount,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Preview => "preview",
            Operation::List => "list",
            Operation::Amount => "amount",
        }
    }
}

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A way in which a provider, or what stands between, fails.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum FaultKind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl FaultKind {
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$kind,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)*
                }
            }
        }
    };
}

fault_kinds! {
    /// HTTP 429, with `retry_after` as the header when given.
    Status429 = "status_429",
    /// HTTP 500 with a JSON body.
    Status500 = "status_500",
    /// HTTP 502 with the HTML page of a proxy.
    Status502Html = "status_502_html",
    /// HTTP 200 with a failing envelope: `status`, by default `INTERNAL_ERROR`.
    EnvelopeError = "envelope_error",
    /// Never an answer, until the client goes away.
    Timeout = "timeout",
    /// The connection is reset (TCP RST) instead of an answer.
    Reset = "reset",
    /// The body ends before its Content-Length does.
    TruncatedBody = "truncated_body",
    /// The body goes on for 1 GiB after its JSON; with `gzip` it is small on the wire.
    HugeBody = "huge_body",
    /// The body comes a byte at a time, five a second.
    SlowBody = "slow_body",
    /// `id` is a boolean, a float that lost digits, or an array.
    WrongTypeId = "wrong_type_id",
    /// An order status that no document has: `status`, by default `ON_HOLD`.
    UnknownStatus = "unknown_status",
    /// `message` and every field of an order but `id` and `status` are null.
    NullFields = "null_fields",
    /// An order that has ended is shown ACTIVE again.
    FlipBack = "flip_back",
    /// HTTP 404.
    NotFound = "not_found",
}

impl FaultKind {
    /// Alters the data of a good answer, so it happens only where there is something to alter.
    pub(super) const fn is_in_the_data(self) -> bool {
        matches!(
            self,
            FaultKind::WrongTypeId
                | FaultKind::UnknownStatus
                | FaultKind::NullFields
                | FaultKind::FlipBack
        )
    }

    /// What the sender of a request cannot tell from an answer that was lost on its way.
    pub(super) const fn may_lose_an_answer(self) -> bool {
        matches!(
            self,
            FaultKind::Timeout | FaultKind::Reset | FaultKind::Status500 | FaultKind::Status502Html
        )
    }

    /// May happen before or after the operation, as an answer that is lost after an order was made.
    const fn takes_after(self) -> bool {
        self.may_lose_an_answer() || matches!(self, FaultKind::EnvelopeError)
    }
}

/// One fault to play. In JSON only `kind` is required.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    /// `None` = any operation.
    pub on: Option<Operation>,
    /// Of each request that matches, 0 to 1.
    pub probability: f64,
    /// How many times at most; `None` = no end.
    pub count: Option<u64>,
    /// Header of a 429: seconds or an HTTP date, sent as given.
    pub retry_after: Option<String>,
    /// The word for `envelope_error` and `unknown_status`.
    pub status: Option<String>,
    /// Whether the operation is carried out before its answer is lost. `None` = a seeded coin decides
    /// for `timeout`, `reset`, `status_500` and `status_502_html`, and `envelope_error` does nothing.
    pub after: Option<bool>,
    /// `huge_body` only: compressed, whether the client asked for it or not.
    pub gzip: bool,
}

impl Fault {
    /// `kind` on every operation, every time.
    pub const fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            on: None,
            probability: 1.0,
            count: None,
            retry_after: None,
            status: None,
            after: None,
            gzip: false,
        }
    }

    #[must_use]
    pub const fn on(mut self, operation: Operation) -> Fault {
        self.on = Some(operation);
        self
    }

    /// At most `count` times.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Fault {
        self.count = Some(count);
        self
    }

    #[must_use]
    pub const fn with_probability(mut self, probability: f64) -> Fault {
        self.probability = probability;
        self
    }
}

/// As `PUT /sandbox/faults` takes it.
impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = Map::new();
        object.insert("kind".into(), self.kind.name().into());
        object.insert("on".into(), self.on.map_or("any", Operation::name).into());
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

/// Why a list of faults is not one. The text names the field and what would be accepted.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("cannot read the faults in {path}: {source}; accepted: a JSON array, or the path of a file with one", path = path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the faults are not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
}

/// Reads faults from `text_or_path`: a JSON array as it stands, or the path of a file that holds one.
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
pub(super) fn faults_of_json(json: &[u8]) -> Result<Vec<Fault>, FaultError> {
    match serde_json::from_slice(json)? {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(place, item)| fault_of(place, item))
            .collect(),
        _ => Err(field_error(
            "faults",
            r#"not an array; accepted: [{"kind":"status_429","on":"preview","count":5}, …]"#,
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
        "on" => {
            let names = Operation::ALL.map(Operation::name).into_iter().chain(["any"]);
            fault.on = Some(named(&Operation::ALL, Operation::name, value).ok_or_else(|| one_of(value, names))?);
        }
        "probability" => {
            let chance = value.as_f64().filter(|chance| (0.0..=1.0).contains(chance));
            fault.probability = chance.ok_or_else(|| format!("{value}; accepted: a number from 0 to 1"))?;
        }
        "count" => fault.count = Some(value.as_u64().ok_or_else(|| format!("{value}; accepted: a whole number from 0"))?),
        "retry_after" => {
            only_for(kind == FaultKind::Status429)?;
            fault.retry_after = Some(retry_after_of(value)?);
        }
        "status" => {
            only_for(matches!(kind, FaultKind::EnvelopeError | FaultKind::UnknownStatus))?;
            fault.status = Some(value.as_str().ok_or_else(|| format!("{value}; accepted: text"))?.to_owned());
        }
        "after" => {
            only_for(kind.takes_after())?;
            fault.after = Some(value.as_bool().ok_or_else(|| format!("{value}; accepted: true, false"))?);
        }
        "gzip" => {
            only_for(kind == FaultKind::HugeBody)?;
            fault.gzip = value.as_bool().ok_or_else(|| format!("{value}; accepted: true, false"))?;
        }
        _ => return Err("no such field; accepted: kind, on, probability, count, retry_after, status, after, gzip".into()),
    }
    Ok(())
}

/// Any text that a header can carry, so that nonsense can be tried too.
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
            "{value}; accepted: seconds or an HTTP date, as text or number"
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
        format!("missing; accepted: {accepted}")
    } else {
        format!("{value}; accepted: {accepted}")
    }
}

fn field_error(field: impl Into<String>, problem: impl Into<String>) -> FaultError {
    FaultError::Field {
        field: field.into(),
        problem: problem.into(),
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
            .on(Operation::Preview)
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
    fn errors_name_the_field_and_what_is_accepted() {
        assert!(
            problem(r#"[{"kind":"reset"},{"kind":"status_418"}]"#)
                .starts_with("faults[1].kind: \"status_418\"; accepted: status_429,")
        );
        assert!(problem(r#"[{"on":"any"}]"#).starts_with("faults[0].kind: missing; accepted: "));
        assert!(
            problem(r#"[{"kind":"reset","on":"pay"}]"#)
                .ends_with("accepted: create, preview, list, amount, any")
        );
        assert!(
            problem(r#"[{"kind":"reset","probability":1.1}]"#)
                .contains("probability: 1.1; accepted: a number from 0 to 1")
        );
        assert!(problem(r#"[{"kind":"reset","count":-1}]"#).contains("faults[0].count"));
        assert!(
            problem(r#"[{"kind":"reset","retry_after":"3"}]"#).contains("has no meaning for reset")
        );
        assert!(
            problem(r#"[{"kind":"reset","often":3}]"#)
                .contains("faults[0].often: no such field; accepted: kind")
        );
        assert!(problem(r#"{"kind":"reset"}"#).contains("not an array"));
        assert!(problem("[1]").contains("faults[0]: not an object"));
        assert!(problem("[{").contains("not JSON"));
        assert!(problem("no/such/file.json").contains("no/such/file.json"));
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
