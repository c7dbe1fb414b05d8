//! Routes that can never match, because an earlier one takes all that they would.
//!
//! Only whole routes are compared, one with one: that several together leave nothing for a later one is not found. So
//! whatever is said is true. Nor is every pair looked at: a host is covered by itself, the wildcards above it and any
//! host, a path likewise, and for each of those combinations only the routes that say exactly that are candidates.

use std::collections::HashMap;

use crate::error::{At, Errors, PlanError};
use crate::listener::{Http, Listener};
use crate::pattern::{HostPattern, PathPattern};
use crate::route::Pattern;

/// Candidates that are compared for one host and path. Many routes that differ only in what they ask beyond them are
/// not worth a quadratic search.
const MOST: usize = 64;

/// A warning for each route that can never match.
pub(super) fn unreachable(listeners: &[Listener]) -> Vec<PlanError> {
    let mut warnings = Errors::default();
    let all = At::root("listeners");
    for listener in listeners {
        if let Some(http) = listener.http() {
            unreachable_in(&all.key(&listener.name).key("routes"), http, &mut warnings);
        }
    }
    warnings.0
}

fn unreachable_in(at: &At<'_>, http: &Http, warnings: &mut Errors) {
    let Http { routes, patterns, .. } = http;
    let mut earlier: HashMap<(&HostPattern, &PathPattern), Vec<usize>> = HashMap::new();
    for (index, pattern) in patterns.iter().enumerate() {
        match covering(&earlier, http, pattern) {
            Some(first) => {
                let name = &routes[first].name;
                let message =
                    format!("this route never matches: number {} (`{name}`) takes all its requests", first + 1);
                warnings.add(&at.index(index), message + "; move it up, or remove it");
            }
            None => earlier.entry((&pattern.host, &pattern.path)).or_default().push(index),
        }
    }
}

/// The first of the earlier routes that takes all that `pattern` would.
fn covering(
    earlier: &HashMap<(&HostPattern, &PathPattern), Vec<usize>>,
    http: &Http,
    pattern: &Pattern,
) -> Option<usize> {
    let hosts = hosts_above(&pattern.host);
    let paths = paths_above(&pattern.path);
    let both = hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path)));
    let same = both.filter_map(|both| earlier.get(&both));
    let condition = |more: u32| &http.conditions[more as usize];
    let covers = |index: &&usize| match (http.patterns[**index].more, pattern.more) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => condition(wide).covers(condition(narrow)),
    };
    same.filter_map(|candidates| candidates.iter().take(MOST).find(covers)).min().copied()
}

/// The patterns that take every host that this one takes.
fn hosts_above(host: &HostPattern) -> Vec<HostPattern> {
    let (HostPattern::Exact(name) | HostPattern::Below(name)) = host else {
        return vec![HostPattern::Any];
    };
    let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let above = dots.map(|(dot, _)| HostPattern::Below(name[dot + 1..].into()));
    above.chain([HostPattern::Any, host.clone()]).collect()
}

/// The patterns that take every path that this one takes.
fn paths_above(path: &PathPattern) -> Vec<PathPattern> {
    let (PathPattern::Exact(key) | PathPattern::Prefix(key)) = path else {
        return vec![PathPattern::Any];
    };
    let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let above = slashes.map(|(slash, _)| PathPattern::Prefix(key[..slash].into()));
    above.chain([PathPattern::Any, PathPattern::Prefix(key.clone()), path.clone()]).collect()
}
