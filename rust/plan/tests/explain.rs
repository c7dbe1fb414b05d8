//! What `pylb explain` tells: the decision itself, and why.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use plan::Question;
use serde_json::{Value, json};

fn explained(patch: &Value, method: &str, target: &str, headers: &[(&str, &str)]) -> Value {
    explained_over(false, patch, method, target, headers)
}

/// The same for a request that comes over TLS, if it is `secure`.
fn explained_over(secure: bool, patch: &Value, method: &str, target: &str, headers: &[(&str, &str)]) -> Value {
    let plan = plan::compile(&support::draft(patch), None, 0).unwrap_or_else(|errors| panic!("{errors:?}"));
    let question = Question {
        listener: "web".to_owned(),
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect(),
        client: "192.0.2.1".parse().expect("an address"),
        secure,
    };
    let trace = plan::explain(&plan, &question).expect("a listener");
    for backend in plan.pools.iter().flat_map(|pool| pool.pool.backends()) {
        assert_eq!(backend.live.in_flight(), 0, "what was taken is given back");
    }
    serde_json::to_value(trace).expect("JSON")
}

fn routes(routes: &[Value]) -> Value {
    let positions = routes.iter().enumerate().map(|(index, route)| (index.to_string(), route.clone()));
    json!({"listeners": {"web": {"routes": Value::Object(positions.collect())}}})
}

/// All that a route may match, as "any", so that a route made of the first one asks nothing of it.
fn only(patch: &Value) -> Value {
    let mut all =
        json!({"host": null, "path": null, "methods": [], "headers": {}, "cookies": {}, "query": {}, "client": []});
    support::merge(&mut all, patch);
    json!({"match": all})
}

#[test]
fn says_why_earlier_routes_did_not_match() {
    let wanted = [
        (json!({"host": "*.shop.example"}), "the host is not *.shop.example"),
        (json!({"path": "/api/"}), "the path is not /api/ or below"),
        (json!({"path": "/api"}), "the path is not /api"),
        (json!({"path": {"regex": "/[0-9]+"}}), "the path does not match `/[0-9]+`"),
        (json!({"methods": ["GET", "HEAD"]}), "the method is not GET or HEAD"),
        (json!({"client": ["10.0.0.0/8"]}), "the client is not in 10.0.0.0/8"),
        (json!({"headers": {"X-Tenant": {"exact": "acme"}}}), "header `x-tenant` is not `acme`"),
        (json!({"cookies": {"beta": {"present": true}}}), "cookie `beta` is missing"),
        (json!({"query": {"v": {"regex": "[0-9]"}}}), "parameter `v` does not match `[0-9]`"),
        (json!({"query": {"v": {"present": false}}}), "parameter `v` is there"),
    ];
    // Lists are patched from the end, since what is missing is a copy of the first.
    let mut all: Vec<Value> = wanted.iter().map(|(matches, _)| only(matches)).collect();
    all.push(only(&json!({})));
    let mut draft = support::base();
    let base = draft["listeners"]["web"]["routes"][0].clone();
    let made = all.iter().map(|patch| {
        let mut route = base.clone();
        support::merge(&mut route, patch);
        route
    });
    draft["listeners"]["web"]["routes"] = made.collect();
    let trace = explained(&draft, "POST", "/x?v=new", &[("Host", "shop.example")]);
    let why: Vec<&str> =
        trace["routes"].as_array().unwrap().iter().map(|route| route["why"].as_str().unwrap()).collect();
    assert_eq!(why, wanted.map(|(_, why)| why));
    assert_eq!(trace["route"], json!({"index": 10, "name": "web#11"}));
    assert_eq!(trace["more"], 0);
}

#[test]
fn says_what_the_backend_gets() {
    let route = json!({
        "match": {"path": "/api/"}, "rewrite": {"replace_prefix": "/v2", "host": "inside.example:81"},
        "request_headers": {"set": {"x-env": "prod"}, "add": {"via": "1.1 pylb"}, "remove": ["X-Secret"]},
        "response_headers": {"remove": ["server"]},
        "rate_limit": {"rate": 10.0, "burst": 20, "key": "client"},
    });
    let headers = [("Host", "Shop.Example:8080"), ("x-secret", "1"), ("X-Env", "none"), ("Accept", "*/*")];
    let trace = explained(&routes(&[route]), "GET", "//api/./x?y=/api/", &headers);
    assert_eq!(trace["target"], "/v2/x?y=/api/");
    assert_eq!(trace["host_sent"], "inside.example:81");
    assert_eq!(trace["request_headers"], json!(["remove x-secret", "set x-env: prod", "add via: 1.1 pylb"]));
    assert_eq!(trace["response_headers"], json!(["remove server"]));
    assert_eq!(trace["rate"], json!({"by": "the client", "limit": 20, "remaining": 19, "window": 2}));
    assert_eq!(trace["backend"], json!({"name": "localhost:9001", "address": "127.0.0.1:9001"}));
    assert_eq!(
        (&trace["policy"], &trace["sticky"], &trace["answer"]),
        (&json!("two_choices"), &Value::Null, &Value::Null)
    );
    let sent: Vec<&str> = trace["sent"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let expected = [
        "GET /v2/x?y=/api/ HTTP/1.1",
        "Host: inside.example:81",
        "Accept: */*",
        "x-env: prod",
        "via: 1.1 pylb",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: Shop.Example:8080",
        "X-Request-ID: (a new one)",
    ];
    assert_eq!(sent, expected);
}

#[test]
fn says_what_is_answered_without_a_backend() {
    let none = explained(&routes(&[json!({"match": {"path": "/x"}})]), "GET", "/", &[("Host", "a")]);
    assert_eq!((&none["route"], &none["answer"]["status"]), (&Value::Null, &json!(404)));
    let redirect = json!({"pool": null, "redirect": {"to": "https://{host}{uri}", "status": 301}});
    let redirect = explained(&routes(&[redirect]), "GET", "/x?y", &[("Host", "a:80")]);
    assert_eq!(
        (&redirect["answer"]["status"], &redirect["answer"]["location"]),
        (&json!(301), &json!("https://a/x?y"))
    );
    let respond = json!({"pool": null, "respond": {"status": 200, "body": "pong", "content_type": "text/plain"}});
    let respond = explained(&routes(&[respond]), "GET", "/", &[("Host", "a")]);
    assert_eq!(
        (&respond["answer"]["body"], &respond["answer"]["content_type"]),
        (&json!("pong"), &json!("text/plain"))
    );
    let refused = explained(&json!({}), "GET", "/x/..;/y", &[("Host", "a")]);
    assert_eq!((&refused["refused"]["status"], &refused["answer"]), (&json!(400), &Value::Null));
    let ended = explained(&json!({}), "GET", "/", &[("Host", "a\r\nx: y")]);
    assert_eq!(ended["refused"]["status"], 400);
}

#[test]
fn says_what_tls_changes() {
    let mut patch = json!({"listeners": {"web": {"redirect_https": 443}}});
    let clear = explained(&patch, "GET", "/x", &[("Host", "a"), ("X-Forwarded-Proto", "https")]);
    assert_eq!(
        (&clear["answer"]["status"], &clear["answer"]["location"], &clear["routes"]),
        (&json!(308), &json!("https://a/x"), &json!([]))
    );
    let secure = explained_over(true, &patch, "GET", "/x", &[("Host", "a")]);
    assert_eq!((&secure["pool"], &secure["answer"]), (&json!("products"), &Value::Null));
    assert!(secure["sent"].as_array().unwrap().contains(&json!("X-Forwarded-Proto: https")));
    patch["listeners"]["web"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    let before = explained(&patch, "GET", "/x", &[("Host", "a"), ("X-Forwarded-Proto", "https")]);
    assert_eq!(before["pool"], "products", "a trusted proxy says that TLS ended there");
}

#[test]
fn says_where_no_requests_are_read() {
    let tcp = json!({"listeners": {"web": {"protocol": "tcp", "pool": "products", "routes": []}}});
    let trace = explained(&tcp, "GET", "/", &[("Host", "a")]);
    assert_eq!(trace["refused"]["why"], "The listener does not speak HTTP.");
}

#[test]
fn says_how_pools_and_clients_are_told_apart() {
    let split = json!({"pool": null, "split": {"products": 1, "canary": 1}, "split_by": {"cookie": "sid"}});
    let mut patch = routes(&[split]);
    patch["pools"] = json!({"canary": {}});
    patch["listeners"]["web"]["trusted_proxies"] = json!(["192.0.2.0/24"]);
    let pool_of = |sid: u32| {
        let cookie = format!("sid=s{sid}");
        let headers = [("Host", "a"), ("Cookie", cookie.as_str()), ("X-Forwarded-For", "198.51.100.7")];
        let trace = explained(&patch, "GET", "/", &headers);
        assert_eq!((&trace["client"], &trace["split"]["by"]), (&json!("198.51.100.7"), &json!("cookie `sid`")));
        assert_eq!(trace["split"]["pool"], trace["pool"]);
        trace["pool"].as_str().unwrap().to_owned()
    };
    let pools: Vec<String> = (0..24).map(pool_of).collect();
    assert!(pools.contains(&"products".to_owned()) && pools.contains(&"canary".to_owned()), "{pools:?}");
    assert_eq!(pools, (0..24).map(pool_of).collect::<Vec<_>>());
}
