//! Which requests a route takes.

use super::fields::{cookie, header, is_token, parameter};
use super::listeners::networks;
use crate::condition::{Condition, Value, Want};
use crate::draft::{MatchDraft, Named, PathDraft, ValueDraft};
use crate::error::{At, Errors};
use crate::expression::Expression;
use crate::key::Key;
use crate::pattern::{HostPattern, PathPattern};
use crate::route::Pattern;

/// A broken pattern stands for "any" in a plan that will not be.
pub(super) fn pattern(at: &At<'_>, draft: &MatchDraft, errors: &mut Errors) -> Pattern {
    let host = draft.host.as_deref().and_then(|host| errors.keep(&at.key("host"), HostPattern::parse(host)));
    let here = at.key("path");
    let (path, expression) = match &draft.path {
        Some(PathDraft::Plain(path)) => (errors.keep(&here, PathPattern::parse(path)), None),
        Some(PathDraft::Pattern(draft)) => (None, errors.keep(&here.key("regex"), Expression::new(&draft.regex))),
        None => (None, None),
    };
    let more = Condition {
        methods: methods(&at.key("methods"), &draft.methods, errors),
        clients: networks(&at.key("client"), &draft.client, errors),
        wants: wants(at, draft, errors),
        path: expression,
    };
    Pattern {
        host: host.unwrap_or(HostPattern::Any),
        path: path.unwrap_or(PathPattern::Any),
        more: (!more.is_empty()).then(|| Box::new(more)),
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
