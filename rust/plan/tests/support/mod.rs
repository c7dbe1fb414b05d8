//! Drafts for tests: the smallest complete one, and how to say what a test wants different.

use serde_json::{Value, json};

/// The smallest complete draft: one listener `web`, one route, one pool `products` with one backend.
pub fn base() -> Value {
    serde_json::from_str(include_str!("../drafts/base.json")).expect("base.json is a draft")
}

/// Applies a JSON merge patch (RFC 7396), with one addition that keeps patches of long lists short: a mapping patches a
/// list by position (`{"0": ...}`), and where a list has no such position, a copy of its first item is patched there.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if let Value::Array(items) = target {
        for (index, item) in patch {
            let index: usize = index.parse().expect("a position in a list");
            while items.len() <= index {
                items.push(items[0].clone());
            }
            merge(&mut items[index], item);
        }
        return;
    }
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, value) in patch {
        let known = target.as_object_mut().expect("made above");
        merge(known.entry(key).or_insert(Value::Null), value);
    }
}

/// A backend without anything special.
pub fn backend(name: &str, address: &str) -> Value {
    let mut backend = base()["pools"]["products"]["backends"][0].clone();
    merge(&mut backend, &json!({"name": name, "address": address}));
    backend
}

/// The base with a patch, as the bytes that Python would send. A listener or a pool that only the patch has is made of
/// the base's.
pub fn draft(patch: &Value) -> Vec<u8> {
    let mut draft = base();
    for (kind, name) in [("listeners", "web"), ("pools", "products")] {
        let like = draft[kind][name].clone();
        let patched = patch[kind].as_object().into_iter().flat_map(|all| all.keys());
        let all = draft[kind].as_object_mut().expect("a mapping");
        for name in patched {
            all.entry(name).or_insert_with(|| like.clone());
        }
    }
    merge(&mut draft, patch);
    serde_json::to_vec(&draft).expect("JSON")
}

/// The head of a request.
pub fn head(text: &str) -> wire::Head {
    let rules = wire::Rules::default();
    match wire::parse_request(text.as_bytes(), &mut 0, &rules, &mut wire::Pages::default()) {
        wire::Parsed::Done { head, .. } => head,
        _ => panic!("not a request: {text}"),
    }
}
