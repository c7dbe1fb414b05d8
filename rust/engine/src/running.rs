//! A plan in force, with what the engine hangs onto it: meters, and what last went wrong with each backend.
//!
//! Immutable like the plan; everything that moves is behind `Arc`s that the next plan takes over, so counters
//! and histories of what did not change go on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plan::{Http, Listener, Plan, PoolPlan, Service};

use crate::observe::meter::{Handshakes, Meter};
use crate::tls::Tls;
use crate::udp::meter::FlowMeter;
use crate::wait::seating::Seating;

/// The worker's own handle on a plan: cloning it for a request touches nothing that other workers see.
pub(crate) type Held = Rc<Arc<Running>>;

/// A plan in force.
pub(crate) struct Running {
    pub plan: Plan,
    /// Certificates and what is asked of them, by the positions of the plan.
    pub tls: Tls,
    pub generation: u64,
    /// Listener index by door; `None` once the door is retired.
    doors: Vec<Option<u32>>,
    /// The door of each listener that has no socket, for those who are sent there by another.
    inner: Vec<Option<u32>>,
    listeners: Vec<ListenerMeters>,
    backends: Vec<Vec<Arc<BackendRecord>>>,
    seatings: Vec<Arc<Seating>>,
}

/// Which door leads where.
#[derive(Default)]
pub(crate) struct DoorMap {
    /// Listener index by door.
    pub listeners: Vec<Option<u32>>,
    /// Inner door by listener index.
    pub inner: Vec<Option<u32>>,
}

/// The meters of a listener.
pub(crate) struct ListenerMeters {
    pub routes: Vec<Arc<Meter>>,
    /// Requests that matched no route or were not understood.
    pub unrouted: Arc<Meter>,
    /// Handshakes of TLS that ends here.
    pub handshakes: Arc<Handshakes>,
    /// Flows of datagrams.
    pub flows: Arc<FlowMeter>,
}

/// What the engine remembers of a backend over all plans.
pub(crate) struct BackendRecord {
    pub pool: Box<str>,
    /// As the user wrote it.
    pub backend: Box<str>,
    pub meter: Meter,
    ejected: AtomicBool,
    ejections: AtomicU64,
    cut: AtomicU64,
    last_error: Mutex<Option<Cow<'static, str>>>,
}

impl Running {
    /// Builds on what `previous` counted.
    pub(crate) fn new(plan: Plan, tls: Tls, map: DoorMap, previous: Option<&Running>, workers: usize) -> Self {
        let routes = previous.map(Running::route_meters).unwrap_or_default();
        let records = previous.map(Running::backend_records).unwrap_or_default();
        let meter = |listener: &str, route: &str| {
            let known = routes.get(&(listener, route)).map(|meter| Arc::clone(meter));
            known.unwrap_or_else(|| Arc::new(Meter::new(workers)))
        };
        let flows = |listener: &str| {
            let known = previous.and_then(|running| running.flows_named(listener));
            known.map(Arc::clone).unwrap_or_else(|| Arc::new(FlowMeter::new(workers)))
        };
        let handshakes = |listener: &str| {
            let known = previous.and_then(|running| running.handshakes_of(listener));
            known.unwrap_or_else(|| Arc::new(Handshakes::new(workers)))
        };
        let listeners = plan.listeners.iter().map(|listener| ListenerMeters {
            routes: route_names(listener).map(|route| meter(&listener.name, route)).collect(),
            unrouted: meter(&listener.name, ""),
            handshakes: handshakes(&listener.name),
            flows: flows(&listener.name),
        });
        let record = |pool: &PoolPlan, backend: &str| {
            let known = records.get(&(&*pool.name, backend)).map(|record| Arc::clone(record));
            known.unwrap_or_else(|| Arc::new(BackendRecord::new(&pool.name, backend, workers)))
        };
        let backends = plan
            .pools
            .iter()
            .map(|pool| pool.pool.backends().iter().map(|backend| record(pool, &backend.name)).collect());
        let seating = |pool: &PoolPlan| {
            let known = previous.and_then(|running| running.seating_named(&pool.name));
            known.map(Arc::clone).unwrap_or_else(|| Arc::new(Seating::new()))
        };
        let seatings = plan.pools.iter().map(seating).collect();
        Running {
            seatings,
            listeners: listeners.collect(),
            backends: backends.collect(),
            generation: previous.map_or(0, |running| running.generation) + 1,
            doors: map.listeners,
            inner: map.inner,
            tls,
            plan,
        }
    }

    /// The listener behind a door and its index; `None` once it is retired.
    pub(crate) fn listener(&self, door: u32) -> Option<(u32, &Listener)> {
        let index = (*self.doors.get(door as usize)?)?;
        Some((index, self.plan.listeners.get(index as usize)?))
    }

    /// The door by which clients of other doors come to a listener.
    pub(crate) fn inner_door(&self, listener: u32) -> Option<u32> {
        self.inner.get(listener as usize).copied().flatten()
    }

    /// What the listener behind a door says about HTTP, and its index; `None` if it is retired or speaks something else.
    pub(crate) fn http(&self, door: u32) -> Option<(u32, &Http)> {
        let (index, listener) = self.listener(door)?;
        Some((index, listener.http()?))
    }

    pub(crate) fn pool(&self, pool: u32) -> &PoolPlan {
        &self.plan.pools[pool as usize]
    }

    pub(crate) fn meters(&self, listener: u32) -> &ListenerMeters {
        &self.listeners[listener as usize]
    }

    pub(crate) fn record(&self, pool: u32, slot: u32) -> &Arc<BackendRecord> {
        &self.backends[pool as usize][slot as usize]
    }

    /// Shows every backend with the name of its pool.
    pub(crate) fn each_backend(&self, mut visit: impl FnMut(&str, &balance::Backend, &Arc<BackendRecord>)) {
        for (pool, records) in self.plan.pools.iter().zip(&self.backends) {
            for (backend, record) in pool.pool.backends().iter().zip(records) {
                visit(&pool.name, backend, record);
            }
        }
    }

    /// The line before a pool.
    pub(crate) fn seating(&self, pool: u32) -> &Arc<Seating> {
        &self.seatings[pool as usize]
    }

    pub(crate) fn seatings(&self) -> &[Arc<Seating>] {
        &self.seatings
    }

    fn seating_named(&self, pool: &str) -> Option<&Arc<Seating>> {
        self.plan.pool_named(pool).map(|pool| self.seating(pool))
    }

    /// Whether any pool still has the backend with this live identity.
    pub(crate) fn has_backend(&self, live: u64) -> bool {
        let mut backends = self.plan.pools.iter().flat_map(|pool| pool.pool.backends());
        backends.any(|backend| backend.live.id() == live)
    }

    /// Where the backend with this live identity stands: its pool and its slot.
    pub(crate) fn place_of(&self, live: u64) -> Option<(u32, u32)> {
        let pools = self.plan.pools.iter().enumerate();
        let mut places = pools.flat_map(|(pool, plan)| {
            let backends = plan.pool.backends().iter().enumerate();
            backends.map(move |(slot, backend)| (backend.live.id(), (pool as u32, slot as u32)))
        });
        places.find(|(id, _)| *id == live).map(|(_, place)| place)
    }

    /// Flows of datagrams that are open now.
    pub(crate) fn flows(&self) -> u64 {
        self.listeners.iter().map(|meters| meters.flows.sum(|lane| &lane.open)).sum()
    }

    fn flows_named(&self, listener: &str) -> Option<&Arc<FlowMeter>> {
        let position = self.plan.listeners.iter().position(|known| *known.name == *listener)?;
        Some(&self.listeners[position].flows)
    }

    fn handshakes_of(&self, listener: &str) -> Option<Arc<Handshakes>> {
        let index = self.plan.listeners.iter().position(|known| &*known.name == listener)?;
        Some(Arc::clone(&self.listeners[index].handshakes))
    }

    fn route_meters(&self) -> HashMap<(&str, &str), &Arc<Meter>> {
        let mut known = HashMap::new();
        for (listener, meters) in self.plan.listeners.iter().zip(&self.listeners) {
            known.insert((&*listener.name, ""), &meters.unrouted);
            for (route, meter) in route_names(listener).zip(&meters.routes) {
                known.insert((&*listener.name, route), meter);
            }
        }
        known
    }

    fn backend_records(&self) -> HashMap<(&str, &str), &Arc<BackendRecord>> {
        let mut known = HashMap::new();
        for (pool, records) in self.plan.pools.iter().zip(&self.backends) {
            for (backend, record) in pool.pool.backends().iter().zip(records) {
                known.insert((&*pool.name, &*backend.name), record);
            }
        }
        known
    }
}

/// The names of a listener's routes, of requests or of names, in the order of the file.
pub(crate) fn route_names(listener: &Listener) -> impl Iterator<Item = &str> {
    let names = match &listener.service {
        Service::Names(names) => &*names.routes,
        _ => &[],
    };
    listener.routes().iter().map(|route| &*route.name).chain(names.iter().map(|route| &*route.name))
}

impl BackendRecord {
    fn new(pool: &str, backend: &str, workers: usize) -> Self {
        BackendRecord {
            pool: pool.into(),
            backend: backend.into(),
            meter: Meter::new(workers),
            ejected: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    pub(crate) fn note_error(&self, why: Cow<'static, str>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub(crate) fn last_error(&self) -> Option<Cow<'static, str>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note_ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.ejected.store(true, Ordering::Relaxed);
    }

    /// How often it has been ejected.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// An exchange or a tunnel was cut because a drain ended.
    pub(crate) fn note_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    pub(crate) fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// True once for each ejection that ended with an answer.
    pub(crate) fn has_returned(&self) -> bool {
        self.ejected.load(Ordering::Relaxed) && self.ejected.swap(false, Ordering::Relaxed)
    }
}
