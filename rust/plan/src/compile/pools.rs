//! Pools: who is in them, and the live state that they take over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use balance::{Backend, Health, Live, Passive, Policy, Pool, Shared, Tick, Tuning};

use super::fields::key as key_of;
use super::numbers::{count, millis, within};
use super::reach::{Reach, reach};
use super::resilience::{pages, queue, ramp, retries};
use super::sticky::sticky;
use super::streams::Streams;
use crate::draft::{BalanceDraft, Draft, PassiveDraft, PolicyName, PoolDraft};
use crate::error::{At, Errors};
use crate::key::Key;
use crate::plan::Plan;
use crate::pool::PoolPlan;
use crate::sticky::Sticky;

const MOST_IDLE: u64 = 65_536;
/// The longest that a backend is ejected, in milliseconds.
const LONGEST_EJECTION: u64 = balance::LONGEST_EJECTION.as_millis() as u64;

/// The compiled pools. Where a pool had mistakes it is missing, and `plans` is of no use.
pub(super) struct Pools {
    pub(super) plans: Vec<PoolPlan>,
    pub(super) next_id: u64,
}

pub(super) fn pools(draft: &Draft, previous: Option<&Plan>, seed: u64, errors: &mut Errors) -> Pools {
    let all = At::root("pools");
    let streams = Streams::new(draft);
    let mut before = Before::new(previous, seed);
    let mut plans = Vec::with_capacity(draft.pools.0.len());
    for (name, draft) in &draft.pools.0 {
        let at = all.key(name);
        let found_before = errors.0.len();
        streams.check(&at, name, draft, errors);
        let fits = errors.0.len() == found_before;
        plans.extend(pool(&at, name, draft, &mut before, errors).filter(|_| fits));
    }
    Pools { plans, next_id: before.next_id }
}

fn pool(at: &At<'_>, name: &str, draft: &PoolDraft, before: &mut Before<'_>, errors: &mut Errors) -> Option<PoolPlan> {
    let found_before = errors.0.len();
    let (policy, key) = balance(&at.key("balance"), &draft.balance, errors);
    let reach = reach(at, draft, errors);
    let passive = draft.passive.as_ref().map(|draft| passive(&at.key("passive"), draft, errors));
    let timeouts = at.key("timeouts");
    let connect_ms = millis(&timeouts.key("connect"), draft.timeouts.connect, errors);
    let keepalive_ms = draft.timeouts.keepalive.map(|value| millis(&timeouts.key("keepalive"), value, errors));
    let idle_connections = within(&at.key("idle_connections"), draft.idle_connections, 0, MOST_IDLE, errors) as u32;
    let tls_handshake_ms = millis(&timeouts.key("tls_handshake"), draft.timeouts.tls_handshake, errors);
    let idle_ms = millis(&timeouts.key("idle"), draft.timeouts.idle, errors);
    let slow_start_ms = ramp(&at.key("slow_start"), draft.slow_start, errors);
    let drain_ms = millis(&at.key("drain"), draft.drain, errors);
    let queue = queue(&at.key("queue"), &draft.queue, errors);
    let retries = retries(&at.key("retries"), &draft.retries, errors);
    let pages = pages(&at.key("errors"), &draft.errors, errors);
    let backends = draft.backends.len();
    let sticky = draft.sticky.as_ref().map(|draft| sticky(&at.key("sticky"), draft, backends, errors));
    if errors.0.len() > found_before {
        return None;
    }
    let shared = before.shared(name);
    let tuning = Tuning {
        passive,
        slow_start: Duration::from_millis(slow_start_ms.into()),
        retry_percent: retries.budget_percent,
    };
    let pool = Pool::new(policy, before.backends(name, draft, &reach), Arc::clone(&shared), tuning);
    let sticky = sticky.map(|rules| Box::new(rules.around(pool.backends(), before.sticky(name), before.seed)));
    Some(PoolPlan {
        name: name.into(),
        pool,
        key,
        addresses: reach.addresses,
        server_names: reach.server_names,
        tls: reach.tls,
        proxy_protocol: reach.proxy_protocol,
        connect_ms,
        tls_handshake_ms,
        keepalive_ms,
        idle_ms,
        idle_connections,
        slow_start_ms,
        drain_ms,
        queue,
        retries,
        errors: pages,
        sticky,
        checked: draft.checked,
        draining: draft.backends.iter().map(|backend| backend.draining).collect(),
        shared,
    })
}

fn balance(at: &At<'_>, draft: &BalanceDraft, errors: &mut Errors) -> (Policy, Key) {
    let policy = match draft.policy {
        PolicyName::RoundRobin => Policy::RoundRobin,
        PolicyName::LeastConnections => Policy::LeastConnections,
        PolicyName::TwoChoices => Policy::TwoChoices,
        PolicyName::PeakEwma => Policy::PeakEwma,
        PolicyName::IpHash | PolicyName::Hash => Policy::Hash,
        PolicyName::Random => Policy::Random,
        PolicyName::Failover => Policy::Failover,
    };
    let key = match (draft.policy, &draft.key) {
        (PolicyName::Hash, Some(key)) => key_of(&at.key("key"), key, errors),
        (PolicyName::Hash, None) => {
            errors.add(&at.key("key"), "`hash` needs something to hash, as in `hash: {header: x-user}`");
            Key::None
        }
        (PolicyName::IpHash, None) => Key::ClientIp,
        (_, None) => Key::None,
        (_, Some(_)) => {
            errors.add(&at.key("key"), "only `hash` takes a key; write `balance: {hash: ...}` or leave the key out");
            Key::None
        }
    };
    (policy, key)
}

fn passive(at: &At<'_>, draft: &PassiveDraft, errors: &mut Errors) -> Passive {
    let eject = within(&at.key("eject"), draft.eject, 1, LONGEST_EJECTION, errors);
    Passive {
        failures: count(&at.key("failures"), draft.failures, errors),
        eject: Duration::from_millis(eject),
        max_ejected_percent: within(&at.key("max_ejected"), draft.max_ejected, 0, 100, errors) as u32,
    }
}

/// The live state of the plan before, by name.
struct Before<'p> {
    pools: HashMap<&'p str, &'p PoolPlan>,
    next_id: u64,
    seed: u64,
}

impl<'p> Before<'p> {
    fn new(previous: Option<&'p Plan>, seed: u64) -> Self {
        let pools = previous.into_iter().flat_map(|plan| &plan.pools);
        Before {
            pools: pools.map(|pool| (&*pool.name, pool)).collect(),
            next_id: previous.map_or(1, |plan| plan.next_id),
            seed,
        }
    }

    fn sticky(&self, pool: &str) -> Option<&Sticky> {
        self.pools.get(pool)?.sticky.as_deref()
    }

    fn shared(&self, pool: &str) -> Arc<Shared> {
        self.pools.get(pool).map(|pool| Arc::clone(&pool.shared)).unwrap_or_default()
    }

    /// The backends of a draft without mistakes.
    fn backends(&mut self, pool: &str, draft: &PoolDraft, reach: &Reach) -> Vec<Backend> {
        let before = self.pools.get(pool).copied();
        let known = before.map(by_name).unwrap_or_default();
        let compile = draft.backends.iter().enumerate().map(|(slot, backend)| Backend {
            name: backend.name.as_str().into(),
            weight: backend.weight as u32,
            backup: backend.backup,
            max_in_flight: backend.max_in_flight.map(|limit| limit as u32),
            live: match before.zip(known.get(backend.name.as_str())) {
                Some((pool, (old, live))) if reach.is_as_before(slot, pool, *old) => Arc::clone(live),
                known => {
                    let health = if draft.checked {
                        known.map_or(Health::Pending, |(_, (_, live))| live.health())
                    } else {
                        Health::Up
                    };
                    Arc::new(self.newcomer(health, before.is_some(), backend.draining))
                }
            },
        });
        compile.collect()
    }

    /// A name that moved to another address, or is reached in another way, is another server: it gets an id of its own,
    /// so that nobody takes an idle connection to the old one for it. What the checker said of the name stays, because it will not say it again.
    ///
    /// Who `joins` a pool that is in force warms up; when a pool begins, there is nobody who could take the rest.
    fn newcomer(&mut self, health: Health, joins: bool, draining: bool) -> Live {
        let live = Live::new(self.next_id);
        self.next_id += 1;
        live.set_health(health, Tick(0));
        if joins {
            live.warm_later();
        }
        if draining {
            live.drain_later();
        }
        live
    }
}

/// By name: the slot, and the live state.
fn by_name(pool: &PoolPlan) -> HashMap<&str, (usize, &Arc<Live>)> {
    let backends = pool.pool.backends().iter().enumerate();
    backends.map(|(slot, backend)| (&*backend.name, (slot, &backend.live))).collect()
}
