//! One request, without the parts that the transport adds: base address, key and common headers.

use url::form_urlencoded::Serializer;

/// The two methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates.
    Post,
}

/// One request to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Relative to the base address; begins with `/`, already encoded.
    pub path_and_query: String,
    /// The body, sent as it is.
    pub body: Option<String>,
    /// The media type of the body.
    pub media_type: MediaType,
    /// Additional headers, names in lower case; never the key.
    pub headers: Vec<(&'static str, String)>,
    /// Whether the answer may be compressed. Decompressing an answer of a few hundred bytes costs
    /// more than everything else that is done with it.
    pub compressed: bool,
}

/// The media type of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl MediaType {
    /// The header's value.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

impl Request {
    /// A GET of `path_and_query` with a short answer.
    pub fn get(path_and_query: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path_and_query: path_and_query.into(),
            body: None,
            media_type: MediaType::Json,
            headers: Vec::new(),
            compressed: false,
        }
    }

    /// A GET of `path` with a query of these names and values, which are encoded here.
    pub fn get_with(path: &str, query: &[(&str, &str)]) -> Self {
        Self::get(format!("{path}?{}", encoded(query)))
    }

    /// A GET of `path_and_query` with a long answer.
    pub fn get_long(path_and_query: impl Into<String>) -> Self {
        Self::get(path_and_query).compressed()
    }

    /// A POST of a JSON text to `path`.
    pub fn post(path: impl Into<String>, json: impl Into<String>) -> Self {
        Self {
            method: Method::Post,
            body: Some(json.into()),
            ..Self::get(path)
        }
    }

    /// A POST of a form of these names and values, which are encoded here.
    pub fn post_form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        Self {
            media_type: MediaType::Form,
            ..Self::post(path, encoded(fields))
        }
    }

    /// Adds a header; its name is in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Allows a compressed answer, for long answers.
    #[must_use]
    pub fn compressed(self) -> Self {
        Self {
            compressed: true,
            ..self
        }
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut form = Serializer::new(String::new());
    for (name, value) in pairs {
        form.append_pair(name, value);
    }
    form.finish()
}
