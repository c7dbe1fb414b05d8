//! A snapshot for `pylb status`: what is configured, what is true of it now, and why.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use balance::{Backend, Health, Policy};
use plan::{PoolPlan, Tick};
use serde::Serialize;

use crate::running::{BackendRecord, Running};
use crate::shared::Shared;

/// The engine at one moment.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Generation of the plan in force; 0 before the first.
    pub generation: u64,
    /// Seconds since the engine started.
    pub uptime: f64,
    /// Worker threads.
    pub workers: usize,
    /// Client connections open.
    pub clients: usize,
    /// Client connections at which accepting pauses.
    pub max_clients: usize,
    /// Whether it is on its way out.
    pub draining: bool,
    /// By name.
    pub listeners: BTreeMap<String, ListenerStatus>,
    /// By name.
    pub pools: BTreeMap<String, PoolStatus>,
}

/// A listener.
#[derive(Debug, Serialize)]
pub struct ListenerStatus {
    /// Addresses as written.
    pub bind: Vec<String>,
    /// Exchanges that are over.
    pub requests: u64,
}

/// A pool.
#[derive(Debug, Serialize)]
pub struct PoolStatus {
    /// How it chooses.
    pub policy: &'static str,
    /// In the order of the file.
    pub backends: Vec<BackendStatus>,
}

/// A backend.
#[derive(Debug, Serialize)]
pub struct BackendStatus {
    /// As written.
    pub name: String,
    /// Resolved.
    pub address: String,
    /// `up`, `down`, `pending`, `ejected` or `draining`.
    pub state: &'static str,
    /// What last went wrong, while it is not simply up.
    pub why: Option<&'static str>,
    /// Seconds for which it is still ejected.
    pub ejected_for: Option<f64>,
    /// Seconds until its drain ends, 0 once it has; `None` if it does not drain.
    pub drain_left: Option<f64>,
    /// Share among its siblings.
    pub weight: u32,
    /// Used only when no other backend is left.
    pub backup: bool,
    /// Requests there now.
    pub in_flight: u32,
    /// Exchanges that ended there.
    pub requests: u64,
    /// Of these, how many without a proper answer: class 5xx or none.
    pub failures: u64,
    /// Moving average of the time to a response head, in seconds.
    pub latency: Option<f64>,
}

impl Status {
    pub(crate) fn of(shared: &Shared) -> Self {
        let now = Tick(shared.epoch.elapsed().as_micros() as u64);
        let running = shared.running();
        let running = running.as_deref();
        Status {
            generation: running.map_or(0, |running| running.generation),
            uptime: shared.epoch.elapsed().as_secs_f64(),
            workers: shared.workers.len(),
            clients: shared.clients(),
            max_clients: shared.max_clients.load(Ordering::Relaxed),
            draining: shared.draining.load(Ordering::Relaxed),
            listeners: running.map(listeners).unwrap_or_default(),
            pools: running.map(|running| pools(running, now)).unwrap_or_default(),
        }
    }
}

fn listeners(running: &Running) -> BTreeMap<String, ListenerStatus> {
    let listeners = running.plan.listeners.iter().enumerate();
    listeners
        .map(|(index, listener)| {
            let meters = running.meters(index as u32);
            let all = meters.routes.iter().chain([&meters.unrouted]);
            let status = ListenerStatus {
                bind: listener.binds.iter().map(ToString::to_string).collect(),
                requests: all.map(|meter| meter.total().requests()).sum(),
            };
            (listener.name.to_string(), status)
        })
        .collect()
}

fn pools(running: &Running, now: Tick) -> BTreeMap<String, PoolStatus> {
    let pools = running.plan.pools.iter().enumerate();
    pools
        .map(|(index, pool)| {
            let backends = pool.pool.backends().iter().enumerate();
            let status = PoolStatus {
                policy: policy_name(pool),
                backends: backends
                    .map(|(slot, backend)| {
                        let record = running.record(index as u32, slot as u32);
                        BackendStatus::of(backend, &pool.addresses[slot], record, now)
                    })
                    .collect(),
            };
            (pool.name.to_string(), status)
        })
        .collect()
}

fn policy_name(pool: &PoolPlan) -> &'static str {
    match pool.pool.policy() {
        Policy::RoundRobin => "round_robin",
        Policy::LeastConnections => "least_connections",
        Policy::TwoChoices => "two_choices",
        Policy::PeakEwma => "peak_ewma",
        Policy::Hash if matches!(pool.key, plan::Key::ClientIp) => "ip_hash",
        Policy::Hash => "hash",
        Policy::Random => "random",
        Policy::Failover => "failover",
    }
}

impl BackendStatus {
    fn of(backend: &Backend, address: &plan::Address, record: &BackendRecord, now: Tick) -> Self {
        let live = &backend.live;
        let total = record.meter.total();
        let state = match live.health() {
            Health::Down => "down",
            _ if live.draining() => "draining",
            _ if live.ejected(now) => "ejected",
            Health::Pending => "pending",
            Health::Up => "up",
        };
        let latency = live.latency_micros();
        BackendStatus {
            name: backend.name.to_string(),
            address: address.to_string(),
            state,
            why: (state != "up" || live.failures() > 0).then(|| record.last_error()).flatten(),
            ejected_for: live.ejected_until().filter(|until| *until > now).map(|until| until.since(now).as_secs_f64()),
            drain_left: live.drain_until().map(|until| until.since(now).as_secs_f64()),
            weight: backend.weight,
            backup: backend.backup,
            in_flight: live.in_flight(),
            requests: total.requests(),
            failures: total.by_class[0] + total.by_class[5],
            latency: (latency > 0).then(|| latency as f64 / 1e6),
        }
    }
}
