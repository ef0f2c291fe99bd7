//! The text that a scraper reads: `OpenMetrics` if requested, else Prometheus' own format, which
//! the library does not support: there a counter's name has its `_total` in the comments too, and
//! there are neither units nor an end mark.

use std::fmt;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus' text, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` text, version 1.0.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// The format that an `Accept` header requests.
    pub fn from_accept(accept: &str) -> Self {
        // Media types have no case.
        let accept = accept.to_ascii_lowercase();
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All of these registries in one text. Their names must differ.
///
/// # Errors
/// If a metric cannot be written.
pub fn encode(registries: &[&Registry], format: MetricsFormat) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for registry in registries {
        encode_registry(&mut text, registry)?;
    }
    match format {
        MetricsFormat::OpenMetrics => {
            encode_eof(&mut text)?;
            Ok(text)
        }
        MetricsFormat::Prometheus => Ok(as_prometheus(&text)),
    }
}

fn as_prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line.starts_with("# EOF") {
            continue;
        }
        let is_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let counts = is_counter(line) || lines.peek().is_some_and(|next| is_counter(next));
        let named = line.strip_prefix("# ").filter(|_| counts);
        match named.map(|comment| comment.splitn(3, ' ').collect::<Vec<_>>()) {
            Some(words) if words.len() == 3 => {
                let (keyword, name, rest) = (words[0], words[1], words[2]);
                text.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::registry::Unit;

    use super::*;

    #[test]
    fn prometheus_text_has_full_counter_names_and_no_units() {
        let mut registry = Registry::with_prefix("shop");
        let eggs = Counter::<u64>::default();
        eggs.inc_by(6);
        registry.register("eggs", "Eggs sold", eggs);
        let age = Gauge::<i64>::default();
        registry.register_with_unit("age", "Age of the oldest", Unit::Seconds, age);
        let text = encode(&[&registry], MetricsFormat::Prometheus).unwrap();
        assert_eq!(
            text,
            "# HELP shop_eggs_total Eggs sold.\n# TYPE shop_eggs_total counter\nshop_eggs_total 6\n\
             # HELP shop_age_seconds Age of the oldest.\n# TYPE shop_age_seconds gauge\nshop_age_seconds 0\n"
        );
        let text = encode(&[&registry], MetricsFormat::OpenMetrics).unwrap();
        assert!(text.contains("# TYPE shop_eggs counter\n") && text.ends_with("# EOF\n"));
    }
}
