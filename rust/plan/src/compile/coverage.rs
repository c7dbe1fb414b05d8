//! Routes that can never match, because an earlier one takes all that they would.
//!
//! Only whole routes are compared, one with one: that several together leave nothing for a later one is not found. So
//! whatever is said is true. Nor is every pair looked at: a host is covered by itself, the wildcards above it and any
//! host, a path likewise, and for each of those combinations only the routes that say exactly that are candidates.

use std::collections::HashMap;

use crate::error::{At, Errors, PlanError};
use crate::listener::{Http, Listener, Service};
use crate::names::Names;
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
        let at = all.key(&listener.name);
        let rules = match &listener.service {
            Service::Http(http) => Rules::of_requests(http),
            Service::Names(names) => Rules::of_names(names),
            Service::Tcp { .. } | Service::Udp(_) => continue,
        };
        unreachable_in(&at.key("routes"), &rules, &mut warnings);
    }
    warnings.0
}

/// The routes of a listener, of either kind.
struct Rules<'l> {
    patterns: &'l [Pattern],
    names: Vec<&'l str>,
    /// Of two things that are asked for beyond host and path: whoever fulfils the second, fulfils the first.
    covers: Box<dyn Fn(u32, u32) -> bool + 'l>,
    /// What routes take.
    takes: &'static str,
}

impl<'l> Rules<'l> {
    fn of_requests(http: &'l Http) -> Self {
        let condition = |more: u32| &http.conditions[more as usize];
        Rules {
            patterns: &http.patterns,
            names: http.routes.iter().map(|route| &*route.name).collect(),
            covers: Box::new(move |wide, narrow| condition(wide).covers(condition(narrow))),
            takes: "requests",
        }
    }

    fn of_names(names: &'l Names) -> Self {
        let protocols = |more: u32| &names.alpns[more as usize];
        Rules {
            patterns: &names.patterns,
            names: names.routes.iter().map(|route| &*route.name).collect(),
            covers: Box::new(move |wide, narrow| protocols(narrow).iter().all(|one| protocols(wide).contains(one))),
            takes: "clients",
        }
    }
}

fn unreachable_in(at: &At<'_>, rules: &Rules<'_>, warnings: &mut Errors) {
    let mut earlier: HashMap<(&HostPattern, &PathPattern), Vec<usize>> = HashMap::new();
    for (index, pattern) in rules.patterns.iter().enumerate() {
        match covering(&earlier, rules, pattern) {
            Some(first) => {
                let (name, takes) = (rules.names[first], rules.takes);
                let message =
                    format!("this route never matches: number {} (`{name}`) takes all its {takes}", first + 1);
                warnings.add(&at.index(index), message + "; move it up, or remove it");
            }
            None => earlier.entry((&pattern.host, &pattern.path)).or_default().push(index),
        }
    }
}

/// The first of the earlier routes that takes all that `pattern` would.
fn covering(
    earlier: &HashMap<(&HostPattern, &PathPattern), Vec<usize>>,
    rules: &Rules<'_>,
    pattern: &Pattern,
) -> Option<usize> {
    let hosts = hosts_above(&pattern.host);
    let paths = paths_above(&pattern.path);
    let both = hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path)));
    let same = both.filter_map(|both| earlier.get(&both));
    let covers = |index: &&usize| match (rules.patterns[**index].more, pattern.more) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => (rules.covers)(wide, narrow),
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
