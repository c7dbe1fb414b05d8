//! The routes of a listener: what each matches, and what becomes of its requests.

use std::collections::{HashMap, HashSet};

use super::actions::{action, limit};
use super::edits::{fields, request};
use super::matches::{Conditions, pattern};
use super::numbers::millis;
use crate::action::{Limit, Route};
use crate::condition::Condition;
use crate::draft::{Draft, ListenerDraft, RouteDraft};
use crate::error::{At, Errors};
use crate::plan::Plan;
use crate::route::{Pattern, Router};
use crate::suggest::unknown;

/// What routes are compiled in.
pub(super) struct Context<'d> {
    draft: &'d Draft,
    /// Positions of pools by name.
    pools: HashMap<&'d str, u32>,
    /// Rate limits of the plan before, by listener and route.
    limits: HashMap<(&'d str, &'d str), &'d Limit>,
    /// Listeners that routes of others name by `terminate`.
    reached: HashSet<&'d str>,
    pub(super) seed: u64,
}

impl<'d> Context<'d> {
    pub(super) fn new(draft: &'d Draft, previous: Option<&'d Plan>, seed: u64) -> Self {
        let pools = draft.pools.0.iter().zip(0u32..).map(|((name, _), position)| (name.as_str(), position));
        let mut limits = HashMap::new();
        for listener in previous.into_iter().flat_map(|plan| &plan.listeners) {
            for route in listener.routes() {
                limits.extend(route.limit.as_deref().map(|limit| ((&*listener.name, &*route.name), limit)));
            }
        }
        let names = draft.listeners.0.iter().flat_map(|(_, listener)| &listener.names);
        let reached = names.filter_map(|route| route.terminate.as_deref()).collect();
        Context { draft, pools: pools.collect(), limits, reached, seed }
    }

    /// Some route of another listener ends there.
    pub(super) fn is_reached_by_name(&self, listener: &str) -> bool {
        self.reached.contains(listener)
    }

    /// All listeners, by their positions.
    pub(super) fn listeners(&self) -> &'d [(String, ListenerDraft)] {
        &self.draft.listeners.0
    }

    /// The position of a pool.
    pub(super) fn pool(&self, at: &At<'_>, name: &str, errors: &mut Errors) -> u32 {
        self.pools.get(name).copied().unwrap_or_else(|| {
            errors.add(at, unknown("pool", name, self.draft.pools.0.iter().map(|(name, _)| name.as_str())));
            0
        })
    }
}

/// The routes of a listener; the first two are parallel.
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) conditions: Vec<Condition>,
    pub(super) router: Router,
}

pub(super) fn routes(
    at: &At<'_>,
    listener: &str,
    drafts: &[RouteDraft],
    context: &Context<'_>,
    errors: &mut Errors,
) -> Routes {
    let all = at.key("routes");
    let mut routes = Vec::with_capacity(drafts.len());
    let mut patterns = Vec::with_capacity(drafts.len());
    let mut named = HashMap::new();
    let mut conditions = Conditions::default();
    for (index, draft) in drafts.iter().enumerate() {
        let at = all.index(index);
        let name = draft.name.clone().unwrap_or_else(|| format!("{listener}#{}", index + 1));
        check_name(&at, &name, index, &mut named, errors);
        patterns.push(pattern(&at.key("match"), &draft.matches, &mut conditions, errors));
        let before = context.limits.get(&(listener, name.as_str())).copied();
        routes.push(Route {
            limit: limit(&at, draft, before, context.seed, errors),
            ..route(&at, name, draft, context, errors)
        });
    }
    let router = Router::new(&patterns);
    Routes { routes, patterns, conditions: conditions.all, router }
}

fn route(at: &At<'_>, name: String, draft: &RouteDraft, context: &Context<'_>, errors: &mut Errors) -> Route {
    let action = action(at, draft, context, errors);
    let timeouts = at.key("timeouts");
    Route {
        name: name.into(),
        action,
        response_head_ms: millis(&timeouts.key("response_head"), draft.timeouts.response_head, errors),
        response_idle_ms: millis(&timeouts.key("response_idle"), draft.timeouts.response_idle, errors),
        limit: None,
        request: request(at, draft, errors).map(Box::new),
        response: fields(&at.key("response_headers"), &draft.response_headers, wire::Heads::Responses, errors)
            .map(Box::new),
    }
}

pub(super) fn check_name(
    at: &At<'_>,
    name: &str,
    index: usize,
    named: &mut HashMap<String, usize>,
    errors: &mut Errors,
) {
    if name.is_empty() {
        errors.add(&at.key("name"), "is empty; leave `name` out or write one");
    }
    if let Some(first) = named.insert(name.to_owned(), index) {
        errors.add(&at.key("name"), format!("`{name}` is the name of route {} already; give each its own", first + 1));
    }
}
