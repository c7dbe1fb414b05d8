//! All matchers together, through the decision itself: the compiled routes against a scan of their drafts in the order
//! of the file, written without any of the compiler's ideas.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::net::IpAddr;
use std::time::Duration;

use plan::{Plan, Progress, Request, Tick};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use wire::{Head, Pages, Parsed, Rules};

/// What a test knows of a request.
#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    host: String,
    path: String,
    query: Vec<(&'static str, &'static str)>,
    headers: Vec<(&'static str, &'static str)>,
    cookies: Vec<(&'static str, &'static str)>,
    client: [u8; 2],
}

impl Asked {
    fn head(&self) -> Head {
        let joined = |pairs: &[(&str, &str)], between: &str| {
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(between)
        };
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", joined(&self.query, "&")) };
        let mut text = format!("{} {}{query} HTTP/1.1\r\nHost: {}\r\n", self.method, self.path, self.host);
        self.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        if !self.cookies.is_empty() {
            text.push_str(&format!("Cookie: {}\r\n", joined(&self.cookies, "; ")));
        }
        text.push_str("\r\n");
        match wire::parse_request(text.as_bytes(), &mut 0, &Rules::default(), &mut Pages::default()) {
            Parsed::Done { head, .. } => head,
            parsed => panic!("{text}: {parsed:?}"),
        }
    }

    fn client(&self) -> IpAddr {
        IpAddr::from([10, self.client[0], 0, self.client[1]])
    }
}

/// What a draft's `match` says, one line each.
fn takes(matches: &Value, asked: &Asked) -> bool {
    let host = matches["host"].as_str().is_none_or(|host| match host.strip_prefix("*.") {
        Some(above) => asked.host.ends_with(&format!(".{above}")),
        None => asked.host == host,
    });
    let path = match &matches["path"] {
        Value::String(path) => match path.strip_suffix('/') {
            Some(prefix) => asked.path == prefix || asked.path.starts_with(path),
            None => asked.path == *path,
        },
        Value::Null => true,
        regex => whole(regex["regex"].as_str().unwrap(), &asked.path),
    };
    let methods = matches["methods"].as_array().unwrap();
    let method = methods.is_empty() || methods.iter().any(|method| method == asked.method);
    let nets = matches["client"].as_array().unwrap();
    let [second, fourth] = asked.client;
    let within = |net: &Value| match net.as_str().unwrap() {
        "10.1.0.0/16" => second == 1,
        "10.1.0.2" => (second, fourth) == (1, 2),
        other => panic!("{other}"),
    };
    let client = nets.is_empty() || nets.iter().any(within);
    let kinds = [("headers", &asked.headers), ("cookies", &asked.cookies), ("query", &asked.query)];
    let values = kinds.iter().all(|(kind, pairs)| {
        let wanted = matches[*kind].as_object().unwrap();
        wanted
            .iter()
            .all(|(name, value)| fits(value, pairs.iter().find(|(one, _)| one == name).map(|(_, value)| *value)))
    });
    host && path && method && client && values
}

fn fits(wanted: &Value, value: Option<&str>) -> bool {
    let (kind, text) = wanted.as_object().unwrap().iter().next().unwrap();
    match (kind.as_str(), value) {
        ("present", value) => value.is_some() == text.as_bool().unwrap(),
        (_, None) => false,
        ("exact", Some(value)) => text == value,
        (_, Some(value)) => whole(text.as_str().unwrap(), value),
    }
}

/// The expressions of this test, in other words.
fn whole(regex: &str, text: &str) -> bool {
    match regex {
        "[0-9]+" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        "1|a" => matches!(text, "1" | "a"),
        "" => text.is_empty(),
        "." => text.len() == 1,
        "(?i)A" => matches!(text, "a" | "A"),
        "/x|/y/.*" => text == "/x" || text.starts_with("/y/"),
        other => panic!("{other}"),
    }
}

fn compiled(matches: &[Value]) -> Plan {
    let mut draft = support::base();
    let routes = draft["listeners"]["web"]["routes"].as_array_mut().unwrap();
    let any = routes.remove(0);
    for patch in matches {
        let mut route = any.clone();
        support::merge(&mut route["match"], patch);
        routes.push(route);
    }
    let draft = serde_json::to_vec(&draft).unwrap();
    plan::compile(&draft, None, 0).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn routed(plan: &Plan, asked: &Asked) -> Option<u32> {
    let mut progress = Progress::new(0);
    let (head, client) = (asked.head(), asked.client());
    let request = Request { head: &head, client, secure: false, now: Tick(1), wall: Duration::from_secs(1), dice: 0 };
    plan.decide(&mut progress, &request);
    progress.route
}

/// Few different values, so that routes and requests meet often.
fn one_of<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(values.to_vec())
}

const VALUES: [&str; 4] = ["", "1", "12", "a"];

fn wanted(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        one_of(&VALUES).prop_map(|value| json!({"exact": value})),
        any::<bool>().prop_map(|there| json!({"present": there})),
        one_of(&["[0-9]+", "1|a", "", ".", "(?i)A"]).prop_map(|regex| json!({"regex": regex})),
    ];
    let some = prop::collection::btree_map(one_of(names), value, 0..2);
    let map = |map: std::collections::BTreeMap<&str, Value>| {
        Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    };
    prop_oneof![3 => Just(json!({})), 1 => some.prop_map(map)]
}

fn list(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let some = prop::sample::subsequence(values, 0..=values.len());
    prop_oneof![3 => Just(json!([])), 1 => some.prop_map(|values| json!(values))]
}

prop_compose! {
    fn matches()(
        host in one_of(&[json!(null), json!("a.b"), json!("b"), json!("*.b"), json!("*.a.b")]),
        path in one_of(&[json!(null), json!("/"), json!("/x"), json!("/x/"), json!("/x/y"), json!({"regex": "/x|/y/.*"})]),
        methods in list(&["GET", "POST"]),
        client in list(&["10.1.0.0/16", "10.1.0.2"]),
        headers in wanted(&["x-a", "x-b"]),
        cookies in wanted(&["c", "d"]),
        query in wanted(&["q", "r"]),
    ) -> Value {
        json!({"host": host, "path": path, "methods": methods, "client": client, "headers": headers,
            "cookies": cookies, "query": query})
    }
}

fn pairs(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec((one_of(names), one_of(&VALUES)), 0..3)
}

prop_compose! {
    fn asked()(
        method in one_of(&["GET", "POST", "PUT"]),
        host in one_of(&["a.b", "b", "x.a.b", "c"]),
        path in one_of(&["/", "/x", "/x/", "/x/y", "/xy", "/y/z"]),
        query in pairs(&["q", "r", "qr"]),
        headers in pairs(&["x-a", "x-b", "x-ab"]),
        cookies in pairs(&["c", "d", "cd"]),
        client in one_of(&[[1, 1], [1, 2], [2, 2]]),
    ) -> Asked {
        Asked { method, host: host.into(), path: path.into(), query, headers, cookies, client }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn routes_are_found_as_a_scan_finds_them(
        matches in prop::collection::vec(matches(), 1..12),
        requests in prop::collection::vec(asked(), 12),
    ) {
        let plan = compiled(&matches);
        let useless: Vec<usize> = plan.warnings.iter().map(|warning| match warning.path.as_slice() {
            [.., plan::Segment::Index(index)] => *index,
            path => panic!("{path:?}"),
        }).collect();
        for asked in &requests {
            let found = matches.iter().position(|matches| takes(matches, asked));
            prop_assert_eq!(routed(&plan, asked), found.map(|found| found as u32), "{:?}", asked);
            prop_assert!(found.is_none_or(|found| !useless.contains(&found)), "{:?} matched {:?}", found, plan.warnings);
        }
    }
}
