//! A snapshot for `pylb status`: what is configured, what is true of it now, and why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use balance::Health;
use plan::{Listener, PoolPlan, Service, Tick};
use serde::Serialize;

use crate::running::{BackendRecord, Running};
use crate::shared::Shared;
use crate::tls::{Watched, certificate};
use crate::udp::meter::{Dropped, FlowMeter};
use crate::wait::seating::Seating;

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
    /// Those it shows, and the authorities that it asks clients for.
    pub certificates: Vec<CertificateStatus>,
    /// Flows of datagrams, where there are any.
    pub flows: Option<FlowStatus>,
}

/// The file of a certificate, or of authorities.
#[derive(Debug, Serialize)]
pub struct CertificateStatus {
    /// Its path.
    pub file: String,
    /// The names that it is for.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970; `None` for authorities.
    pub expires: Option<u64>,
    /// The same as text (RFC 3339).
    pub until: Option<String>,
}

/// The flows of a listener for datagrams.
#[derive(Debug, Serialize)]
pub struct FlowStatus {
    /// Open now.
    pub open: u64,
    /// So far.
    pub total: u64,
    /// The most there may be.
    pub limit: u32,
    /// Ended to make room for others.
    pub evicted: u64,
    /// Datagrams of clients that did not go on.
    pub dropped: u64,
}

/// A pool.
#[derive(Debug, Serialize)]
pub struct PoolStatus {
    /// How it chooses.
    pub policy: &'static str,
    /// Who waits for a place.
    pub queue: QueueStatus,
    /// In the order of the file.
    pub backends: Vec<BackendStatus>,
    /// The one it shows to backends, and the authorities that are believed of them.
    pub certificates: Vec<CertificateStatus>,
}

/// The line before a full pool.
#[derive(Debug, Serialize)]
pub struct QueueStatus {
    /// Requests that wait now.
    pub waiting: usize,
    /// The most that may.
    pub size: u32,
    /// Seconds for which the oldest has waited.
    pub oldest: Option<f64>,
    /// Requests that have ever waited.
    pub waited: u64,
    /// Requests refused because the line was full.
    pub refused: u64,
    /// Requests that waited in vain.
    pub late: u64,
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
    pub why: Option<Cow<'static, str>>,
    /// Seconds for which it is still ejected.
    pub ejected_for: Option<f64>,
    /// Share among its siblings.
    pub weight: u32,
    /// Used only when no other backend is left.
    pub backup: bool,
    /// Requests there now.
    pub in_flight: u32,
    /// The most there may be.
    pub limit: Option<u32>,
    /// Percent of its share that it gets, while it warms up.
    pub warming: Option<u32>,
    /// It gets no new clients.
    pub draining: bool,
    /// Seconds until what is left there is cut, 0 once it was; `None` if it does not drain.
    pub drained_in: Option<f64>,
    /// Exchanges and tunnels that were cut because a drain was over.
    pub cut: u64,
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
                certificates: certificates(running.tls.server(index as u32).iter().flat_map(|tls| tls.watched())),
                flows: FlowStatus::of(listener, &meters.flows),
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
                policy: pool.policy_name(),
                queue: QueueStatus::of(running.seating(index as u32), pool, now),
                backends: backends
                    .map(|(slot, _)| {
                        let record = running.record(index as u32, slot as u32);
                        BackendStatus::of(pool, slot, record, now)
                    })
                    .collect(),
                certificates: certificates(running.tls.client(index as u32).iter().flat_map(|tls| tls.watched())),
            };
            (pool.name.to_string(), status)
        })
        .collect()
}

fn certificates<'r>(watched: impl Iterator<Item = Watched<'r>>) -> Vec<CertificateStatus> {
    let status = |one: Watched<'_>| CertificateStatus {
        file: one.file.to_owned(),
        names: one.names.iter().map(ToString::to_string).collect(),
        expires: one.not_after,
        until: one.not_after.map(certificate::date),
    };
    watched.map(status).collect()
}

impl FlowStatus {
    fn of(listener: &Listener, meter: &FlowMeter) -> Option<Self> {
        let Service::Udp(datagrams) = listener.service else { return None };
        Some(FlowStatus {
            open: meter.sum(|lane| &lane.open),
            total: meter.sum(|lane| &lane.flows),
            limit: datagrams.flows,
            evicted: meter.sum(|lane| &lane.evicted),
            dropped: (0..Dropped::NAMES.len()).map(|why| meter.sum(|lane| &lane.dropped[why])).sum(),
        })
    }
}

impl QueueStatus {
    fn of(seating: &Seating, pool: &PoolPlan, now: Tick) -> Self {
        let (waiting, oldest) = seating.depth();
        QueueStatus {
            waiting,
            size: pool.queue.size,
            oldest: oldest.map(|since| now.since(since).as_secs_f64()),
            waited: seating.waited.load(Ordering::Relaxed),
            refused: seating.refused.load(Ordering::Relaxed),
            late: seating.late.load(Ordering::Relaxed),
        }
    }
}

impl BackendStatus {
    fn of(pool: &PoolPlan, slot: usize, record: &BackendRecord, now: Tick) -> Self {
        let backend = &pool.pool.backends()[slot];
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
            address: pool.addresses[slot].to_string(),
            state,
            why: (state != "up" || live.failures() > 0).then(|| record.last_error()).flatten(),
            ejected_for: live.ejected_until().filter(|until| *until > now).map(|until| until.since(now).as_secs_f64()),
            weight: backend.weight,
            backup: backend.backup,
            in_flight: live.in_flight(),
            limit: backend.max_in_flight,
            warming: Some(pool.pool.warmth(slot as u32, now)).filter(|percent| *percent < 100),
            draining: live.draining(),
            drained_in: live.drain_until().map(|until| until.since(now).as_secs_f64()),
            cut: record.cut(),
            requests: total.requests(),
            failures: total.by_class[0] + total.by_class[5],
            latency: (latency > 0).then(|| latency as f64 / 1e6),
        }
    }
}
