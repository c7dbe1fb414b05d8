//! Where TLS goes that is passed on: names and protocols in, routes out, against a scan of the routes that shares no
//! idea with the router.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use plan::{NameAction, Names, Plan, Service};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What one route asks for: a name, and protocols.
type Asked = (Option<String>, Vec<&'static str>);

fn compiled(routes: &[Asked]) -> Plan {
    let route = |(sni, alpn): &Asked| {
        json!({"name": null, "match": {"sni": sni, "alpn": alpn}, "pool": "products",
        "terminate": null})
    };
    let names: Vec<Value> = routes.iter().map(route).collect();
    let patch = json!({"listeners": {"web": {"protocol": "tls", "routes": [], "names": names}}});
    plan::compile(&support::draft(&patch), None, 0).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn names(plan: &Plan) -> &Names {
    match &plan.listeners[0].service {
        Service::Names(names) => names,
        _ => panic!("it passes TLS on"),
    }
}

fn find(plan: &Plan, sni: Option<&str>, alpn: &[&str]) -> Option<u32> {
    let alpn: Vec<&[u8]> = alpn.iter().map(|protocol| protocol.as_bytes()).collect();
    names(plan).find(sni.map(str::as_bytes), &alpn).map(|(position, _)| position)
}

/// The same, by what a route says.
fn scan(routes: &[Asked], sni: Option<&str>, alpn: &[&str]) -> Option<u32> {
    let sni = sni.map(str::to_ascii_lowercase);
    let takes = |(wanted, protocols): &Asked| {
        let named = match (wanted, &sni) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(name)) => match wanted.to_ascii_lowercase().strip_prefix('*') {
                Some(end) => name.len() > end.len() && name.ends_with(end),
                None => wanted.eq_ignore_ascii_case(name),
            },
        };
        named && (protocols.is_empty() || protocols.iter().any(|protocol| alpn.contains(protocol)))
    };
    routes.iter().position(takes).map(|position| position as u32)
}

fn labels() -> impl Strategy<Value = String> {
    let label = prop::sample::select(&["a", "A", "b", "ab"][..]);
    prop::collection::vec(label, 1..4).prop_map(|labels| labels.join("."))
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = prop_oneof![labels(), labels().prop_map(|name| format!("*.{name}"))];
    (prop::option::weighted(0.8, name), protocols())
}

fn protocols() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(&["h2", "http/1.1", "h3"][..]), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_scan(
        routes in prop::collection::vec(asked(), 1..16),
        clients in prop::collection::vec((prop::option::weighted(0.9, labels()), protocols()), 20),
    ) {
        let plan = compiled(&routes);
        for (sni, alpn) in &clients {
            let (sni, alpn) = (sni.as_deref(), &alpn[..]);
            prop_assert_eq!(find(&plan, sni, alpn), scan(&routes, sni, alpn), "{:?} {:?}", sni, alpn);
        }
    }
}

#[test]
fn a_wildcard_takes_what_is_below_and_not_the_name_itself() {
    let plan = compiled(&[(Some("*.shop.example".to_owned()), vec![])]);
    for (sni, position) in [
        (Some("a.shop.example"), Some(0)),
        (Some("A.B.Shop.EXAMPLE"), Some(0)),
        (Some("a.shop.example."), Some(0)),
        (Some("shop.example"), None),
        (Some("shop.example."), None),
        (Some("ashop.example"), None),
        (Some(".shop.example"), Some(0)),
        (Some(""), None),
        (None, None),
    ] {
        assert_eq!(find(&plan, sni, &[]), position, "{sni:?}");
    }
}

#[test]
fn whoever_says_nothing_gets_what_asks_for_nothing() {
    let plan = compiled(&[(Some("shop.example".to_owned()), vec![]), (None, vec!["h2"]), (None, vec![])]);
    assert_eq!(find(&plan, None, &[]), Some(2));
    assert_eq!(find(&plan, None, &["http/1.1", "h2"]), Some(1));
    assert_eq!(find(&plan, Some(&"a".repeat(300)), &[]), Some(2), "longer than a name can be");
    assert_eq!(find(&plan, Some("shop.example"), &["h2"]), Some(0));
    assert_eq!(find(&plan, Some("shop.example."), &["h2"]), Some(0));
}

#[test]
fn a_name_may_be_handed_to_a_listener_that_ends_tls() {
    let tls = json!({"certificates": [{"cert": "/c", "key": "/k", "client_auth": null}], "min_version": "1.3",
        "client_auth": null});
    let route = json!({"name": "shop", "match": {"sni": "shop.example", "alpn": []}, "pool": null, "terminate": "web"});
    let edge = json!({"bind": [":8443"], "protocol": "tls", "routes": [], "names": [route]});
    let patch = json!({"listeners": {"edge": edge, "web": {"bind": [], "tls": tls}}});
    let plan = plan::compile(&support::draft(&patch), None, 0).unwrap_or_else(|errors| panic!("{errors:?}"));
    let target = plan.listeners.iter().position(|listener| &*listener.name == "web").expect("it is there");
    let Service::Names(names) = &plan.listeners[1 - target].service else { panic!("it passes TLS on") };
    let (position, route) = names.find(Some(b"shop.example"), &[]).expect("a route");
    assert_eq!((position, &*route.name, route.action), (0, "shop", NameAction::Terminate(target as u32)));
    assert!(plan.listeners[target].binds.is_empty(), "nobody else gets there");
}
