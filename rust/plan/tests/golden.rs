//! Golden pairs: each file in `tests/drafts` holds what is different from `base.json`, a line `---`, and what becomes
//! of it: the plan, or every error. A new case is a new file; what stands before the first `{` says why.
#![allow(clippy::disallowed_methods, reason = "a test reads its cases from files")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::fmt::Write;
use std::path::Path;

use plan::{Action, ClientAuth, Http, Key, Listener, NameAction, Plan, PlanError, PoolPlan, Route, Service};

#[test]
fn drafts_become_what_their_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drafts");
    let entries = std::fs::read_dir(folder).expect("tests/drafts");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    assert!(!files.is_empty());
    let wrong: Vec<String> = files.iter().filter_map(|file| check(file)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).expect("a readable case");
    let (given, expected) = text.split_once("\n---\n").expect("a line `---`");
    let patch = &given[given.find('{').expect("a patch")..];
    let patch = serde_json::from_str(patch).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let became = became(&plan::compile(&support::draft(&patch), None, 0));
    (became.trim() != expected.trim()).then(|| format!("{} became:\n{became}", file.display()))
}

fn became(compiled: &Result<Plan, Vec<PlanError>>) -> String {
    match compiled {
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
        Ok(plan) => {
            let mut out = String::new();
            plan.listeners.iter().for_each(|listener| show_listener(&mut out, plan, listener));
            plan.pools.iter().for_each(|pool| show_pool(&mut out, pool));
            plan.metrics.iter().for_each(|bind| writeln!(out, "metrics on {bind}").unwrap());
            plan.warnings.iter().for_each(|warning| writeln!(out, "warning: {warning}").unwrap());
            writeln!(out, "log {:?} {:?}, {} clients", plan.log.access, plan.log.format, plan.max_clients).unwrap();
            out
        }
    }
}

fn show_listener(out: &mut String, plan: &Plan, listener: &Listener) {
    let binds: Vec<String> = listener.binds.iter().map(ToString::to_string).collect();
    writeln!(out, "listener {} on {}", listener.name, binds.join(", ")).unwrap();
    if !listener.proxy_from.is_empty() {
        writeln!(out, "  proxies {:?} within {}", listener.proxy_from, listener.hello_ms).unwrap();
    }
    if let Some(tls) = &listener.tls {
        writeln!(out, "  {:?} in {}, {}", tls.min_version, listener.tls_handshake_ms, auth(tls.client_auth.as_ref()))
            .unwrap();
        for plan::CertificatePlan { files, client_auth } in &tls.certificates {
            writeln!(out, "    {} with {}, {}", files.cert, files.key, auth(client_auth.as_ref())).unwrap();
        }
    }
    let pool = |pool: u32| &plan.pools[pool as usize].name;
    match &listener.service {
        Service::Http(http) => show_http(out, plan, listener, http),
        Service::Tcp { pool: to } => writeln!(out, "  bytes to {}", pool(*to)).unwrap(),
        Service::Udp(plan::Datagrams { pool: to, idle_ms, replies, flows }) => {
            writeln!(out, "  datagrams to {}, idle {idle_ms} replies {replies:?} flows {flows}", pool(*to)).unwrap();
        }
        Service::Names(names) => {
            for route in &names.routes {
                let to = match route.action {
                    NameAction::Pool(to) => pool(to),
                    NameAction::Terminate(to) => &plan.listeners[to as usize].name,
                };
                writeln!(out, "  name {} to {to} within {}", route.name, listener.hello_ms).unwrap();
            }
        }
    }
}

fn auth(auth: Option<&ClientAuth>) -> String {
    match auth {
        None => "nobody asked".to_owned(),
        Some(ClientAuth::None { .. }) => "nobody asked here".to_owned(),
        Some(ClientAuth::Ask { required, ca, headers }) => {
            let [subject, san] = [&headers.subject, &headers.san]
                .map(|name| String::from_utf8_lossy(name.as_deref().unwrap_or(b"nobody")).into_owned());
            let verb = if *required { "must" } else { "may" };
            format!("clients {verb} come from {ca}, told {subject} {san}")
        }
    }
}

fn show_http(out: &mut String, plan: &Plan, listener: &Listener, http: &Http) {
    let Http { head_ms, body_idle_ms, keepalive_ms, send_idle_ms, max_body, max_requests, .. } = http;
    writeln!(out, "  head {head_ms} body {body_idle_ms} keepalive {keepalive_ms} send {send_idle_ms}").unwrap();
    writeln!(out, "  max body {max_body:?} requests {max_requests}").unwrap();
    writeln!(out, "  {:?}", http.rules).unwrap();
    let Http { trusted, half_close_keep, .. } = http;
    writeln!(out, "  trusted {trusted:?} half-close {half_close_keep} log {}", listener.access_log).unwrap();
    if let Some(redirect) = &http.redirect_https {
        writeln!(out, "  requests in clear elsewhere by {}", redirect.status).unwrap();
    }
    http.routes.iter().for_each(|route| show_route(out, plan, route));
}

fn show_route(out: &mut String, plan: &Plan, route: &Route) {
    let action = match &route.action {
        Action::Pool(pool) => plan.pools[*pool as usize].name.to_string(),
        Action::Split(_) => "one of several".to_owned(),
        Action::Redirect(redirect) => format!("elsewhere by {}", redirect.status),
        Action::Respond(status, page) => format!("an answer of {status}, {} bytes", page.body.len()),
    };
    let Route { name, response_head_ms, response_idle_ms, .. } = route;
    let limited = if route.limit.is_some() { ", limited" } else { "" };
    writeln!(out, "  route {name} to {action}, head {response_head_ms} idle {response_idle_ms}{limited}").unwrap();
    if let Some(edits) = &route.request {
        let rewrites = [("path", edits.path.is_some()), ("host", edits.host.is_some())];
        let rewrites = rewrites.iter().filter(|(_, there)| *there).map(|(what, _)| format!("another {what}"));
        let changes: Vec<String> = rewrites.chain(edits.fields.changes()).collect();
        writeln!(out, "    requests: {}", changes.join(", ")).unwrap();
    }
    if let Some(edits) = &route.response {
        writeln!(out, "    responses: {}", edits.changes().join(", ")).unwrap();
    }
}

fn show_pool(out: &mut String, pool: &PoolPlan) {
    writeln!(out, "pool {}: {:?} by {}", pool.name, pool.pool.policy(), key(&pool.key)).unwrap();
    writeln!(
        out,
        "  connect {} keepalive {:?} idle {} tries {}",
        pool.connect_ms, pool.keepalive_ms, pool.idle_connections, pool.retries.tries
    )
    .unwrap();
    show_resilience(out, pool);
    if let Some(tls) = &pool.tls {
        let plan::PoolTls { ca, certificate, verify } = &**tls;
        writeln!(out, "  tls in {} by {ca:?} as {certificate:?} verify {verify}", pool.tls_handshake_ms).unwrap();
        writeln!(out, "  certificates for {}", pool.server_names.join(" ")).unwrap();
    }
    if let Some(version) = pool.proxy_protocol {
        writeln!(out, "  told by {version:?}").unwrap();
    }
    for (backend, address) in pool.pool.backends().iter().zip(&pool.addresses) {
        let backup = if backend.backup { " backup" } else { "" };
        let limit = backend.max_in_flight.map(|limit| format!(" limit {limit}")).unwrap_or_default();
        let drains = if backend.live.draining() { " drains" } else { "" };
        writeln!(
            out,
            "  {} at {address} weight {}{backup}{limit}{drains} {:?}",
            backend.name,
            backend.weight,
            backend.live.health()
        )
        .unwrap();
    }
}

fn show_resilience(out: &mut String, pool: &PoolPlan) {
    let PoolPlan { slow_start_ms, drain_ms, queue, retries, .. } = pool;
    writeln!(out, "  slow start {slow_start_ms} drain {drain_ms} queue {} for {}", queue.size, queue.timeout_ms)
        .unwrap();
    let plan::Retries { budget_percent, replay_bytes, per_try_ms, on, .. } = retries;
    writeln!(out, "  budget {budget_percent} replay {replay_bytes} per try {per_try_ms:?}").unwrap();
    writeln!(out, "  {on:?}").unwrap();
    for (status, page) in &pool.errors {
        writeln!(out, "  page {status} {} of {} bytes", page.content_type, page.body.len()).unwrap();
    }
    if let Some(sticky) = &pool.sticky {
        let by = match &sticky.by {
            plan::StickyBy::Cookie { name, path, .. } => format!("cookie {name} at {path}"),
            plan::StickyBy::Key(by) => key(by),
            plan::StickyBy::Learned { response, request } => {
                format!("{}, learned from {}", key(request), key(response))
            }
        };
        let lost = if sticky.fail_if_lost { "fail" } else { "move" };
        writeln!(out, "  sticky by {by}, {:?}, {lost}", sticky.ttl).unwrap();
    }
}

fn key(key: &Key) -> String {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    match key {
        Key::None => "nothing".to_owned(),
        Key::ClientIp => "client".to_owned(),
        Key::Path => "path".to_owned(),
        Key::Header(name) => format!("header {}", text(name)),
        Key::Cookie(name) => format!("cookie {}", text(name)),
        Key::Query(name) => format!("query {}", text(name)),
    }
}
