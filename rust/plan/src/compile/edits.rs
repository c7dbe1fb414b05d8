//! What a route changes about heads.

use wire::{Authority, Blame, Fault, FieldEdits, Heads, NotEditable, PathEdit, Rule};

use crate::draft::{HeadersDraft, PathDraft, RewriteDraft, RouteDraft};
use crate::error::{At, Errors};

/// What a route changes on its requests, if anything.
pub(super) fn request(at: &At<'_>, draft: &RouteDraft, errors: &mut Errors) -> Option<wire::RouteEdits> {
    let fields = fields(&at.key("request_headers"), &draft.request_headers, Heads::Requests, errors);
    let at = at.key("rewrite");
    let (path, host) = match &draft.rewrite {
        Some(rewrite) => (path(&at, rewrite, draft.matches.path.as_ref(), errors), host(&at, rewrite, errors)),
        None => (None, None),
    };
    let changes = fields.is_some() || path.is_some() || host.is_some();
    changes.then(|| wire::RouteEdits { fields: fields.unwrap_or_default(), path, host })
}

/// Changes to the fields of a head, if there are any.
pub(super) fn fields(at: &At<'_>, draft: &HeadersDraft, heads: Heads, errors: &mut Errors) -> Option<FieldEdits> {
    let mut edits = FieldEdits::default();
    let remove = at.key("remove");
    for (index, name) in draft.remove.iter().enumerate() {
        keep(&remove.index(index), name, edits.remove(heads, name.as_bytes()), errors);
    }
    let set = at.key("set");
    for (name, value) in &draft.set.0 {
        keep(&set.key(name), name, edits.set(heads, name.as_bytes(), value.as_bytes()), errors);
    }
    let add = at.key("add");
    for (name, value) in &draft.add.0 {
        keep(&add.key(name), name, edits.add(heads, name.as_bytes(), value.as_bytes()), errors);
    }
    (!edits.is_empty()).then_some(edits)
}

pub(super) fn keep(at: &At<'_>, name: &str, checked: Result<(), NotEditable>, errors: &mut Errors) {
    let name = name.escape_debug();
    let problem = match checked {
        Ok(()) => return,
        Err(NotEditable::Name) => format!("`{name}` is not the name of a header; expected letters, digits and `-`"),
        Err(NotEditable::Value) => {
            format!("the value of `{name}` has a control character, or space at an end, which no header can have")
        }
        Err(NotEditable::Protected(reason)) => format!("`{name}` cannot be edited: {reason}"),
    };
    errors.add(at, problem);
}

fn path(at: &At<'_>, draft: &RewriteDraft, matched: Option<&PathDraft>, errors: &mut Errors) -> Option<PathEdit> {
    let mut made = Vec::new();
    if let Some(prefix) = &draft.strip_prefix {
        let at = at.key("strip_prefix");
        if prefix == "/" {
            errors.add(&at, "strips nothing; write the prefix that backends do not know, as in `strip_prefix: /api`");
        }
        made.push(keep_path(&at, prefix, PathEdit::strip(prefix.as_bytes()), errors));
    }
    if let Some(with) = &draft.replace_prefix {
        let at = at.key("replace_prefix");
        match matched {
            // A broken one is reported where it stands.
            Some(PathDraft::Plain(prefix)) => {
                made.push(keep_path(&at, with, PathEdit::replace(prefix.as_bytes(), with.as_bytes()), errors));
            }
            _ => errors.add(&at, "replaces the `path` of `match`, and there is none that is a prefix; write one"),
        }
    }
    if let Some(whole) = &draft.path {
        made.push(keep_path(&at.key("path"), whole, PathEdit::whole(whole.as_bytes()), errors));
    }
    if made.len() > 1 {
        errors.add(at, "changes the path in two ways; keep one of `strip_prefix`, `replace_prefix` and `path`");
    }
    made.pop().flatten()
}

fn keep_path(at: &At<'_>, written: &str, made: Result<PathEdit, Rule>, errors: &mut Errors) -> Option<PathEdit> {
    let problem = match made {
        Ok(edit) => return Some(edit),
        Err(_) if !written.starts_with('/') => "it does not start with `/`",
        Err(_) if written.contains(['?', '#']) => "it has a query or a fragment",
        Err(rule) => Fault::new(rule, Blame::Client).explain(),
    };
    errors.add(at, format!("`{}` is not a path: {problem}", written.escape_debug()));
    None
}

fn host(at: &At<'_>, draft: &RewriteDraft, errors: &mut Errors) -> Option<Authority> {
    let host = draft.host.as_ref()?;
    let authority = Authority::new(host.as_bytes());
    if authority.is_none() {
        let message =
            format!("`{}` is not a host; expected `shop.example` or `shop.example:8080`", host.escape_debug());
        errors.add(&at.key("host"), message);
    }
    authority
}
