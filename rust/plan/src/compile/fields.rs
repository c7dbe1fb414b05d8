//! Names of headers, cookies and parameters, and the keys made of them.

use crate::draft::{FieldDraft, KeyDraft};
use crate::error::{At, Errors};
use crate::key::Key;

/// RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The name of a header, in lower case.
pub(super) fn header(at: &At<'_>, name: &str, errors: &mut Errors) -> Box<[u8]> {
    check(at, "header", name, errors);
    name.to_ascii_lowercase().into_bytes().into()
}

/// The name of a cookie.
pub(super) fn cookie(at: &At<'_>, name: &str, errors: &mut Errors) -> Box<[u8]> {
    check(at, "cookie", name, errors);
    name.as_bytes().into()
}

/// The name of a parameter of the query.
pub(super) fn parameter(at: &At<'_>, name: &str, errors: &mut Errors) -> Box<[u8]> {
    if name.is_empty() {
        errors.add(at, "is empty; write the name of a parameter, as in `query: user`");
    }
    name.as_bytes().into()
}

fn check(at: &At<'_>, kind: &str, name: &str, errors: &mut Errors) {
    if name.is_empty() || !name.bytes().all(is_token) {
        errors.add(at, format!("`{name}` is not the name of a {kind}; expected letters, digits and `-`"));
    }
}

/// A header or cookie whose value is a key.
pub(super) fn field(at: &At<'_>, draft: &FieldDraft, errors: &mut Errors) -> Key {
    match draft {
        FieldDraft::Header(name) => Key::Header(header(&at.key("header"), name, errors)),
        FieldDraft::Cookie(name) => Key::Cookie(cookie(&at.key("cookie"), name, errors)),
    }
}

/// A part of the request that is a key.
pub(super) fn key(at: &At<'_>, draft: &KeyDraft, errors: &mut Errors) -> Key {
    match draft {
        KeyDraft::Header(name) => Key::Header(header(&at.key("header"), name, errors)),
        KeyDraft::Cookie(name) => Key::Cookie(cookie(&at.key("cookie"), name, errors)),
        KeyDraft::Query(name) => Key::Query(parameter(&at.key("query"), name, errors)),
        KeyDraft::Path(true) => Key::Path,
        KeyDraft::Path(false) => {
            errors.add(&at.key("path"), "expected `path: true`; to take something else, name it instead");
            Key::None
        }
    }
}
