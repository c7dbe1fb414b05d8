//! What the files of `tests/wire` hold: see the README there.

use std::net::SocketAddr;

use serde::Deserialize;

/// Strings of a table are bytes: each character is one.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(letter).expect("a byte")).collect()
}

/// The other way round.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Pieces {
    One(Piece),
    Many(Vec<Piece>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Piece {
    Text(String),
    Repeat { repeat: Box<Pieces>, times: usize },
    Sized { length: usize, of: Box<Pieces> },
}

impl Pieces {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::One(piece) => piece.bytes(),
            Self::Many(pieces) => pieces.iter().flat_map(Piece::bytes).collect(),
        }
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => bytes(text),
            Self::Repeat { repeat, times } => repeat.bytes().repeat(*times),
            Self::Sized { length, of } => {
                let bytes = of.bytes();
                let number = u64::try_from(bytes.len()).expect("a length").to_be_bytes();
                [&number[8 - length..], &bytes].concat()
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Cases {
    Requests {
        #[serde(rename = "about")]
        _about: String,
        cases: Vec<RequestCase>,
    },
    Responses {
        #[serde(rename = "about")]
        _about: String,
        cases: Vec<ResponseCase>,
    },
    Hellos {
        #[serde(rename = "about")]
        _about: String,
        cases: Vec<PreambleCase>,
    },
    Proxies {
        #[serde(rename = "about")]
        _about: String,
        cases: Vec<PreambleCase>,
    },
}

impl Cases {
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Requests { cases, .. } => cases.iter().map(|case| &*case.name).collect(),
            Self::Responses { cases, .. } => cases.iter().map(|case| &*case.name).collect(),
            Self::Hellos { cases, .. } | Self::Proxies { cases, .. } => cases.iter().map(|case| &*case.name).collect(),
        }
    }

    pub fn rules(self) -> Vec<String> {
        match self {
            Self::Requests { cases, .. } => {
                cases.iter().flat_map(|case| case.expect.list()).filter_map(RequestOutcome::rule).collect()
            }
            Self::Responses { cases, .. } => cases.into_iter().filter_map(|case| case.expect.rule).collect(),
            Self::Hellos { .. } | Self::Proxies { .. } => Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestCase {
    pub name: String,
    #[serde(default)]
    pub listener: Listener,
    pub send: Pieces,
    pub expect: Outcomes,
}

#[derive(Copy, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listener {
    #[default]
    Strict,
    Lenient,
    EncodedSlashReject,
    PathRaw,
    Trusted,
}

impl Listener {
    pub fn rules(self) -> wire::Rules {
        wire::Rules {
            lenient: self == Self::Lenient,
            reject_encoded_slash: self == Self::EncodedSlashReject,
            raw_path: self == Self::PathRaw,
            ..wire::Rules::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Outcomes {
    One(RequestOutcome),
    Many(Vec<RequestOutcome>),
}

impl Outcomes {
    pub fn list(&self) -> &[RequestOutcome] {
        match self {
            Self::One(outcome) => std::slice::from_ref(outcome),
            Self::Many(outcomes) => outcomes,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum RequestOutcome {
    Refused {
        status: u16,
        rule: String,
        #[serde(default)]
        at: At,
    },
    Sent {
        upstream: Box<Upstream>,
    },
}

impl RequestOutcome {
    fn rule(&self) -> Option<String> {
        match self {
            Self::Refused { rule, .. } => Some(rule.clone()),
            Self::Sent { .. } => None,
        }
    }
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    #[default]
    Head,
    Body,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub line: Option<String>,
    pub first: Option<String>,
    #[serde(default)]
    pub has: Vec<String>,
    pub only: Option<Vec<String>>,
    #[serde(default)]
    pub lacks: Vec<String>,
    #[serde(default)]
    pub lacks_line: Vec<String>,
    pub body: Option<String>,
    pub trailers: Option<Vec<String>>,
    pub host: Option<String>,
    pub path: Option<String>,
    pub pool: Option<String>,
    pub keep_alive: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseCase {
    pub name: String,
    #[serde(default)]
    pub listener: Listener,
    #[serde(default = "plain_get")]
    pub request: String,
    pub origin: Pieces,
    #[serde(default)]
    pub close: bool,
    pub expect: ResponseOutcome,
}

fn plain_get() -> String {
    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponseOutcome {
    pub status: u16,
    pub rule: Option<String>,
    #[serde(default)]
    pub interim: Vec<u16>,
    pub line: Option<String>,
    #[serde(default)]
    pub has: Vec<String>,
    pub only: Option<Vec<String>>,
    #[serde(default)]
    pub lacks: Vec<String>,
    pub body: Option<String>,
    pub trailers: Option<Vec<String>>,
    pub end: Option<Ending>,
    pub reused: Option<bool>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    Clean,
    Cut,
    Switched,
}

/// What may come ahead of the first message of a connection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreambleCase {
    pub name: String,
    pub send: Pieces,
    pub expect: Preamble,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Preamble {
    More(Unfinished),
    Bad {
        bad: String,
    },
    Hello {
        sni: Option<String>,
        alpn: Vec<String>,
    },
    Proxy {
        source: Option<(SocketAddr, SocketAddr)>,
        #[serde(default)]
        rest: String,
    },
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unfinished {
    More,
}

/// All files, by name.
pub fn every_file() -> Vec<(String, Cases)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wire");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/wire is beside rust")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let content = std::fs::read_to_string(&path).expect("a readable file");
        let cases = serde_json::from_str(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, cases)
    };
    files.into_iter().map(read).collect()
}

/// Checks head lines (the first line among them) against what is asked of them.
pub struct Wanted<'a> {
    pub line: Option<&'a String>,
    pub has: &'a [String],
    pub only: Option<&'a Vec<String>>,
    pub lacks: &'a [String],
}

impl Wanted<'_> {
    pub fn check(&self, head: &[u8]) -> Result<(), String> {
        let head = text(head);
        let body = head.strip_suffix("\r\n\r\n").ok_or("the head does not end")?;
        let (line, fields) = body.split_once("\r\n").unwrap_or((body, ""));
        let fields: Vec<&str> = fields.split("\r\n").filter(|field| !field.is_empty()).collect();
        let count = |wanted: &str, list: &[&str]| list.iter().filter(|field| **field == wanted).count();
        if self.line.is_some_and(|wanted| wanted != line) {
            return Err(format!("the first line is {line:?}"));
        }
        for wanted in self.has.iter().chain(self.only.into_iter().flatten()) {
            let listed: Vec<&str> =
                self.has.iter().chain(self.only.into_iter().flatten()).map(String::as_str).collect();
            if count(wanted, &fields) < count(wanted, &listed) {
                return Err(format!("{wanted:?} is missing in {fields:?}"));
            }
        }
        if let Some(only) = self.only {
            let rest = fields.iter().filter(|field| !field.starts_with("X-Request-ID: ")).count();
            if rest != only.len() {
                return Err(format!("more than wanted: {fields:?}"));
            }
        }
        for name in self.lacks {
            let start = format!("{name}:");
            if fields.iter().any(|field| field.to_ascii_lowercase().starts_with(&start)) {
                return Err(format!("{name} is there: {fields:?}"));
            }
        }
        Ok(())
    }
}
