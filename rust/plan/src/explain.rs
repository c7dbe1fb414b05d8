//! Why does a request go where it goes? The decision that the engine would take, told step by step.
//!
//! Nothing here decides. The request is written as a client would send it, `wire` reads it, [`Plan::decide`] decides,
//! and `wire` renders what a backend would get; this file asks each of them what it did. Only why earlier routes did
//! not match is looked up anew, route by route, since the router never looks at most of them. A place that was taken is
//! given back; a rate limit counts the request, in the plan at hand.

mod trace;

use std::net::IpAddr;
use std::time::Duration;

use balance::Tick;
use wire::{Head, Pages, Parsed, RequestEdits, RouteEdits, Rules};

use crate::action::{Action, Route};
use crate::decide::{Pin, Progress, Request, Step, Until};
use crate::key::Key;
use crate::listener::Http;
use crate::pattern::{HostPattern, PathPattern};
use crate::plan::Plan;
use crate::route::Pattern;

pub use trace::Trace;
use trace::{Answer, Chosen, Named, Passed, Place, Rate, Refused};

/// Routes passed over that are told of.
const MOST: usize = 100;
/// Stands for the id that every request gets.
const NEW_ID: &[u8] = b"(a new one)";

/// A request that nobody sends.
#[derive(Clone, Debug)]
pub struct Question {
    /// The listener's name.
    pub listener: String,
    /// As in a request line.
    pub method: String,
    /// As in a request line.
    pub target: String,
    /// Fields, in their order, with Host.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The peer of the connection.
    pub client: IpAddr,
    /// It comes over TLS.
    pub secure: bool,
}

/// How a question comes in.
#[derive(Copy, Clone)]
struct Way<'a> {
    http: &'a Http,
    /// Of the listener.
    index: u32,
    question: &'a Question,
    /// What it says of the way before is believed.
    trusted: bool,
}

/// Tells what would become of a request, if there is a listener of this name.
pub fn explain(plan: &Plan, question: &Question) -> Option<Trace> {
    let index = plan.listeners.iter().position(|listener| *listener.name == question.listener)?;
    let http = plan.listeners[index].http();
    let mut trace = Trace {
        listener: question.listener.clone(),
        method: question.method.clone(),
        client: question.client.to_string(),
        ..Trace::default()
    };
    let refused = Refused { status: 400, why: "The listener does not speak HTTP." };
    match http.ok_or(refused).and_then(|http| Ok((http, read(question, &http.rules)?))) {
        Ok((http, head)) => {
            let trusted = wire::forwarded::is_trusted(question.client, &http.trusted);
            trace.follow(plan, &Way { http, index: index as u32, question, trusted }, &head);
        }
        Err(refused) => trace.refused = Some(refused),
    }
    Some(trace)
}

/// What the listener reads of the request.
fn read(question: &Question, rules: &Rules) -> Result<Head, Refused> {
    let mut text = format!("{} {} HTTP/1.1\r\n", question.method, question.target).into_bytes();
    let ends = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
    if ends(question.method.as_bytes()) || ends(question.target.as_bytes()) {
        return Err(Refused { status: 400, why: "The request line ends within the method or the target." });
    }
    for (name, value) in &question.headers {
        if ends(name) || ends(value) {
            return Err(Refused { status: 400, why: "A header has a line end inside." });
        }
        text.extend([name, &b": "[..], value, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    match wire::parse_request(&text, &mut 0, rules, &mut Pages::default()) {
        Parsed::Done { head, .. } => Ok(head),
        Parsed::Bad(fault) => Err(Refused { status: fault.status(), why: fault.explain() }),
        Parsed::More => Err(Refused { status: 400, why: "The head is not complete." }),
    }
}

impl Trace {
    fn follow(&mut self, plan: &Plan, way: &Way<'_>, head: &Head) {
        let Way { http, index, question, trusted } = *way;
        let client = wire::forwarded::client(question.client, &http.trusted, head);
        (self.host, self.path, self.client) = (text(head.host()), text(head.path()), client.to_string());
        let mut progress = Progress::new(index);
        let secure = question.secure || (trusted && wire::forwarded::came_by_https(head));
        let request = Request { head, client, secure, now: Tick(1), wall: Duration::from_secs(1), dice: 0 };
        let step = plan.decide(&mut progress, &request);
        if secure || http.redirect_https.is_none() {
            self.pass_over(http, &progress, &request);
        }
        if let Some(position) = progress.route {
            let route = &http.routes[position as usize];
            self.route = Some(Named { index: position, name: route.name.to_string() });
            self.note_choices(plan, route, &progress);
        }
        match step {
            Step::Send { pool, slot } => {
                plan.pools[pool as usize].pool.release(slot);
                self.send(plan, way, &progress, head, slot);
            }
            Step::Wait { until: Until::Free, .. } => self.wait = Some("full"),
            Step::Wait { until: Until::Pinned(_), .. } => self.wait = Some("pinned"),
            Step::Reply(reply) => self.answer = Some(Answer::new(&reply)),
        }
    }

    /// The routes before the one taken, all if none was.
    fn pass_over(&mut self, http: &Http, progress: &Progress, request: &Request<'_>) {
        let before = progress.route.map_or(http.routes.len(), |position| position as usize);
        let both = http.routes.iter().zip(&http.patterns).take(before);
        self.more = before.saturating_sub(MOST);
        self.routes = both
            .enumerate()
            .take(MOST)
            .map(|(index, (route, pattern))| Passed {
                index,
                name: route.name.to_string(),
                why: unmet(http, pattern, request),
            })
            .collect();
    }

    /// What the route and its pool say, beside where the request goes.
    fn note_choices(&mut self, plan: &Plan, route: &Route, progress: &Progress) {
        if let (Some(limit), Some(rate)) = (&route.limit, progress.rate) {
            let wire::RateLimit { limit: most, window, remaining, .. } = rate;
            self.rate = Some(Rate { by: limit.key.to_string(), limit: most, remaining, window });
        }
        let Some(pool) = progress.pool.map(|pool| &plan.pools[pool as usize]) else { return };
        if let Action::Split(split) = &route.action {
            let by = if split.by == Key::None { "chance".to_owned() } else { split.by.to_string() };
            self.split = Some(Chosen { pool: pool.name.to_string(), by });
        }
        (self.pool, self.policy) = (Some(pool.name.to_string()), Some(pool.policy_name()));
        self.sticky = pool.sticky.as_ref().map(|_| match progress.pin {
            Pin::None | Pin::Escaped => "none",
            Pin::Honoured => "honoured",
            Pin::Issue => "issued",
        });
        self.request_headers = route.request.as_deref().map(|edits| edits.fields.changes()).unwrap_or_default();
        self.response_headers = route.response.as_deref().map(wire::FieldEdits::changes).unwrap_or_default();
    }

    /// What the backend gets.
    fn send(&mut self, plan: &Plan, way: &Way<'_>, progress: &Progress, head: &Head, slot: u32) {
        let (Some(pool), Some(route)) = (progress.pool, progress.route) else { return };
        let Way { http, question, trusted, .. } = *way;
        let pool = &plan.pools[pool as usize];
        self.backend = Some(Place {
            name: pool.pool.backends()[slot as usize].name.to_string(),
            address: pool.addresses[slot as usize].to_string(),
        });
        let edits = http.routes[route as usize].request.as_deref();
        let proto = if question.secure { "https" } else { "http" };
        let request_id = wire::forwarded::request_id(head, trusted).is_none().then_some(NEW_ID);
        let mut out = Vec::new();
        let edits = RequestEdits { client: question.client, proto, trusted, request_id, route: edits };
        wire::render_request(head, &edits, &mut out);
        self.sent = text(&out).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        self.target = self.sent.first().and_then(|line| line.split(' ').nth(1)).map(str::to_owned);
        let authority = edits.route.and_then(|RouteEdits { host, .. }| host.as_ref());
        self.host_sent = Some(text(authority.map_or(head.authority(), wire::Authority::as_bytes)));
    }
}

/// Why a route does not take a request.
fn unmet(http: &Http, pattern: &Pattern, request: &Request<'_>) -> String {
    let Request { head, client, .. } = *request;
    if let Some(wanted) = other_host(&pattern.host, head.host()) {
        return format!("the host is not {wanted}");
    }
    if let Some(wanted) = other_path(&pattern.path, head.path()) {
        return format!("the path is not {wanted}");
    }
    let more = pattern.more.map(|more| &http.conditions[more as usize]);
    let unmet = more.and_then(|more| more.unmet(head, client));
    unmet.map(|unmet| unmet.to_string()).unwrap_or_default()
}

/// What the pattern wants, if this is another host.
fn other_host(pattern: &HostPattern, host: &[u8]) -> Option<String> {
    match pattern {
        HostPattern::Any => None,
        HostPattern::Exact(name) => (**name != *host).then(|| text(name)),
        HostPattern::Below(name) => {
            let above = host.strip_suffix(&**name).is_some_and(|label| label.ends_with(b"."));
            (!above).then(|| format!("*.{}", text(name)))
        }
    }
}

/// What the pattern wants, if this is another path.
fn other_path(pattern: &PathPattern, path: &[u8]) -> Option<String> {
    match pattern {
        PathPattern::Any => None,
        PathPattern::Exact(exact) => (**exact != *path).then(|| text(exact)),
        PathPattern::Prefix(prefix) => {
            let below = matches!(path.strip_prefix(&**prefix), Some([] | [b'/', ..]));
            (!below).then(|| format!("{}/ or below", text(prefix)))
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
