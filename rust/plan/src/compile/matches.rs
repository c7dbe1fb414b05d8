//! Which requests a route takes.

use std::collections::HashMap;

use super::fields::{cookie, header, is_token, parameter};
use super::listeners::networks;
use crate::condition::{Condition, Value, Want};
use crate::draft::{MatchDraft, Named, PathDraft, ValueDraft};
use crate::error::{At, Errors};
use crate::expression::Expression;
use crate::key::Key;
use crate::pattern::{HostPattern, PathPattern};
use crate::route::Pattern;

/// What the routes of a listener ask beyond host and path. Ten thousand routes that ask the same share one condition,
/// which is compiled once, and is in the processor's cache when it is looked at.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) all: Vec<Condition>,
    known: HashMap<String, u32>,
}

/// A broken pattern stands for "any" in a plan that will not be.
pub(super) fn pattern(at: &At<'_>, draft: &MatchDraft, conditions: &mut Conditions, errors: &mut Errors) -> Pattern {
    let host = draft.host.as_deref().and_then(|host| errors.keep(&at.key("host"), HostPattern::parse(host)));
    let path = match &draft.path {
        Some(PathDraft::Plain(path)) => errors.keep(&at.key("path"), PathPattern::parse(path)),
        _ => None,
    };
    Pattern {
        host: host.unwrap_or(HostPattern::Any),
        path: path.unwrap_or(PathPattern::Any),
        more: conditions.number(at, draft, errors),
    }
}

impl Conditions {
    fn number(&mut self, at: &At<'_>, draft: &MatchDraft, errors: &mut Errors) -> Option<u32> {
        let expression = match &draft.path {
            Some(PathDraft::Pattern(draft)) => Some(&draft.regex),
            _ => None,
        };
        let MatchDraft { methods, headers, cookies, query, client, .. } = draft;
        let fields = [headers, cookies, query];
        if methods.is_empty() && client.is_empty() && expression.is_none() && fields.iter().all(|map| map.0.is_empty())
        {
            return None;
        }
        let key = format!("{expression:?} {methods:?} {client:?} {fields:?}");
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        let found_before = errors.0.len();
        let compiled = condition(at, draft, expression, errors);
        let number = self.all.len() as u32;
        self.all.push(compiled);
        // What is wrong is said at every place where it is written.
        if errors.0.len() == found_before {
            self.known.insert(key, number);
        }
        Some(number)
    }
}

fn condition(at: &At<'_>, draft: &MatchDraft, expression: Option<&String>, errors: &mut Errors) -> Condition {
    let path = at.key("path");
    Condition {
        path: expression.and_then(|regex| errors.keep(&path.key("regex"), Expression::new(regex))),
        methods: methods(&at.key("methods"), &draft.methods, errors),
        clients: networks(&at.key("client"), &draft.client, errors),
        wants: wants(at, draft, errors),
    }
}

fn methods(at: &At<'_>, written: &[String], errors: &mut Errors) -> Vec<Box<str>> {
    for (index, method) in written.iter().enumerate() {
        let problem = match method {
            _ if method.is_empty() || !method.bytes().all(is_token) => {
                format!("`{}` is not a method; expected one such as `GET`", method.escape_debug())
            }
            _ if method.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                format!("`{method}` never comes: methods have capital letters; write `{}`", method.to_ascii_uppercase())
            }
            _ if matches!(method.as_str(), "CONNECT" | "TRACE") => {
                format!("`{method}` never gets here: every such request is answered with 405")
            }
            _ => continue,
        };
        errors.add(&at.index(index), problem);
    }
    written.iter().map(|method| method.as_str().into()).collect()
}

fn wants(at: &At<'_>, draft: &MatchDraft, errors: &mut Errors) -> Vec<Want> {
    let mut wants = Vec::new();
    let mut all = |kind: &str, drafts: &Named<ValueDraft>, key: &dyn Fn(&At<'_>, &str, &mut Errors) -> Key| {
        let at = at.key(kind);
        for (name, draft) in &drafts.0 {
            let at = at.key(name);
            let of = key(&at, name, errors);
            wants.extend(value(&at, draft, errors).map(|value| Want { of, value }));
        }
    };
    all("headers", &draft.headers, &|at, name, errors| Key::Header(header(at, name, errors)));
    all("cookies", &draft.cookies, &|at, name, errors| Key::Cookie(cookie(at, name, errors)));
    all("query", &draft.query, &|at, name, errors| Key::Query(parameter(at, name, errors)));
    wants
}

fn value(at: &At<'_>, draft: &ValueDraft, errors: &mut Errors) -> Option<Value> {
    match draft {
        ValueDraft::Exact(text) => Some(Value::Exact(text.as_str().into())),
        ValueDraft::Present(true) => Some(Value::Present),
        ValueDraft::Present(false) => Some(Value::Absent),
        ValueDraft::Regex(text) => errors.keep(&at.key("regex"), Expression::new(text)).map(Value::Matching),
    }
}
