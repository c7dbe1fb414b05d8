//! Which of many, by the name that a client asks for (RFC 6125, 6.4; RFC 6066, 3).
//!
//! An exact name comes first, then `*.` with exactly one label in its place, then the default. What is no name at all
//! gets the default: no SNI, and addresses, which clients never send there. So a client that asks for
//! `https://10.0.0.1/` is served by the default however the certificates are named, and its Host belongs there too.

use std::collections::HashMap;

/// Values by name. Clients choose the names that are looked up, so the tables are keyed by std's hash.
#[derive(Debug)]
pub(crate) struct Names<T> {
    exact: HashMap<Box<str>, T>,
    /// By what comes after `*.`.
    wildcard: HashMap<Box<str>, T>,
    default: T,
}

impl<T> Names<T> {
    pub(crate) fn new(default: T) -> Self {
        Names { exact: HashMap::new(), wildcard: HashMap::new(), default }
    }

    /// The value of a name as certificates write it, in lower case; made if there is none.
    pub(crate) fn entry(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        match name.strip_prefix("*.") {
            Some(rest) => self.wildcard.entry(rest.into()).or_insert_with(make),
            None => self.exact.entry(name.into()).or_insert_with(make),
        }
    }

    /// The value for a client that asks for `name`, however its letters are written.
    pub(crate) fn find(&self, name: Option<&str>) -> &T {
        let Some(name) = name.map(|name| name.strip_suffix('.').unwrap_or(name)) else { return &self.default };
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower(&name.to_ascii_lowercase());
        }
        self.find_lower(name)
    }

    fn find_lower(&self, name: &str) -> &T {
        if let Some(found) = self.exact.get(name) {
            return found;
        }
        let parent = name.split_once('.').filter(|(label, _)| !label.is_empty()).map(|(_, parent)| parent);
        parent.and_then(|parent| self.wildcard.get(parent)).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names<&'static str> {
        let mut names = Names::new("default");
        for name in ["shop.example", "*.shop.example", "www.shop.example", "10.0.0.1"] {
            let value: &'static str = name;
            names.entry(name, || value);
        }
        names
    }

    #[test]
    fn exact_then_one_label_then_the_default() {
        let names = names();
        for (asked, found) in [
            (Some("shop.example"), "shop.example"),
            (Some("WWW.Shop.Example"), "www.shop.example"),
            (Some("a.shop.example"), "*.shop.example"),
            (Some("a.shop.example."), "*.shop.example"),
            (Some("a.b.shop.example"), "default"),
            (Some(".shop.example"), "default"),
            (Some("example"), "default"),
            (Some(""), "default"),
            (None, "default"),
        ] {
            assert_eq!(*names.find(asked), found, "{asked:?}");
        }
    }

    #[test]
    fn the_first_with_a_name_keeps_it() {
        let mut names = names();
        assert_eq!(*names.entry("shop.example", || "another"), "shop.example");
    }
}
