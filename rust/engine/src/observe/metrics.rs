//! `/metrics`: everything that is counted, as Prometheus text (exposition format 0.0.4).
//!
//! Label values are names of the configuration, never anything a client sent, so the number of series is bounded.

mod certificates;

use std::fmt::{Display, Write};

use balance::Health;
use plan::Tick;

use super::meter::{BOUNDS_US, Handshakes, Retry, Total, WorkerMeter};
use crate::running::{BackendRecord, Running};
use crate::shared::Shared;
use crate::wait::seating::Seating;

mod flows;
mod sessions;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CLASS_NAMES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// All metrics at this moment.
pub(crate) fn render(shared: &Shared) -> String {
    let mut text = Text(String::with_capacity(16 * 1024));
    let sum = |count: &dyn Fn(&WorkerMeter) -> u64| -> u64 { shared.meters.iter().map(count).sum() };
    process(shared, &sum, &mut text);
    traffic(&sum, &mut text);
    if let Some(running) = shared.running() {
        let now = Tick(shared.epoch.elapsed().as_micros() as u64);
        routes(&running, &mut text);
        flows::render(&running, &mut text);
        sessions::render(&running, &mut text);
        queues(&running, now, &mut text);
        backends(&running, &mut text);
        backends_now(&running, now, &mut text);
        handshakes(&running, &mut text);
        certificates::certificates(shared, &running, &mut text);
    }
    text.0
}

/// A counter of all workers together.
type Sum<'a> = &'a dyn Fn(&dyn Fn(&WorkerMeter) -> u64) -> u64;

fn process(shared: &Shared, sum: Sum<'_>, text: &mut Text) {
    let generation = shared.running().map_or(0, |running| running.generation);
    text.gauge("pylb_plan_generation", "Generation of the plan in force.", generation);
    text.gauge("pylb_python_silence_seconds", "Seconds since Python's last sign of life.", shared.silence());
    text.gauge("pylb_clients", "Client connections open now.", shared.clients());
    let limit = shared.max_clients.load(std::sync::atomic::Ordering::Relaxed);
    text.gauge("pylb_max_clients", "Client connections at which accepting pauses.", limit);
    text.gauge("pylb_upstream_idle", "Idle connections to backends.", sum(&|meter| meter.idle_upstream.value()));
    text.counter("pylb_accepted_total", "Client connections accepted.", sum(&|meter| meter.accepted.value()));
    text.counter(
        "pylb_handed_over_total",
        "Of these, passed to a less busy worker.",
        sum(&|meter| meter.handed_over.value()),
    );
    text.counter(
        "pylb_refused_requests_total",
        "Requests whose head broke a rule.",
        sum(&|meter| meter.refused_requests.value()),
    );
    let load = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed);
    let dropped = load(&shared.log.dropped) + load(&shared.log.dropped_before);
    text.counter("pylb_log_dropped_total", "Access-log lines that a slow sink lost.", dropped);
    text.family("pylb_plans_total", "counter", "Plans put in force or refused, at start and at reload.");
    text.sample("pylb_plans_total", &[("result", "applied")], load(&shared.applied));
    text.sample("pylb_plans_total", &[("result", "refused")], load(&shared.refused));
    text.counter("pylb_panics_total", "Connections ended by a panic.", sum(&|meter| meter.panics.value()));
}

/// What moved, over all routes and pools.
fn traffic(sum: Sum<'_>, text: &mut Text) {
    text.counter(
        "pylb_upstream_stale_total",
        "Idle connections found closed by the backend.",
        sum(&|meter| meter.stale.value()),
    );
    text.family("pylb_bytes_total", "counter", "Body bytes.");
    text.sample("pylb_bytes_total", &[("direction", "in")], sum(&|meter| meter.bytes_in.value()));
    text.sample("pylb_bytes_total", &[("direction", "out")], sum(&|meter| meter.bytes_out.value()));
    text.gauge(
        "pylb_tunnels",
        "Connections that switched protocols and are open now.",
        sum(&|meter| meter.tunnels.open.value()),
    );
    text.counter(
        "pylb_tunnels_total",
        "Connections that switched protocols.",
        sum(&|meter| meter.tunnels.total.value()),
    );
    text.family("pylb_tunnel_bytes_total", "counter", "Bytes after a switch of protocols.");
    text.sample("pylb_tunnel_bytes_total", &[("direction", "in")], sum(&|meter| meter.tunnels.bytes_in.value()));
    text.sample("pylb_tunnel_bytes_total", &[("direction", "out")], sum(&|meter| meter.tunnels.bytes_out.value()));
    sessions::totals(sum, text);
    text.family("pylb_upstream_connections_total", "counter", "Connections that requests went to backends by.");
    text.sample("pylb_upstream_connections_total", &[("kind", "new")], sum(&|meter| meter.connected.value()));
    text.sample("pylb_upstream_connections_total", &[("kind", "reused")], sum(&|meter| meter.reused.value()));
    text.family("pylb_retries_total", "counter", "Requests sent to a further backend.");
    for (kind, name) in Retry::NAMES.iter().enumerate() {
        text.sample("pylb_retries_total", &[("reason", name)], sum(&|meter| meter.retries[kind].value()));
    }
    text.counter(
        "pylb_retries_denied_total",
        "Retries that the budget denied.",
        sum(&|meter| meter.retries_denied.value()),
    );
    text.counter(
        "pylb_cut_total",
        "Exchanges and tunnels cut because the drain of their backend was over.",
        sum(&|meter| meter.cut.value()),
    );
}

fn routes(running: &Running, text: &mut Text) {
    let each = |visit: Visitor<'_>| {
        for (index, listener) in running.plan.listeners.iter().enumerate() {
            if listener.http().is_none() {
                continue;
            }
            let meters = running.meters(index as u32);
            visit(&[("listener", &listener.name), ("route", "")], &meters.unrouted.total());
            for (route, meter) in listener.routes().iter().zip(&meters.routes) {
                visit(&[("listener", &listener.name), ("route", &route.name)], &meter.total());
            }
        }
    };
    text.totals("pylb_requests_total", "Exchanges that are over, by route and class of the status.", &each);
    text.histograms("pylb_request_duration_seconds", "From a request's head to the last byte of its answer.", &each);
}

fn handshakes(running: &Running, text: &mut Text) {
    text.family("pylb_tls_handshakes_total", "counter", "Handshakes of clients with TLS that ends here.");
    for (index, listener) in running.plan.listeners.iter().enumerate().filter(|(_, listener)| listener.tls.is_some()) {
        for (result, count) in Handshakes::NAMES.iter().zip(running.meters(index as u32).handshakes.totals()) {
            let labels = [("listener", &*listener.name), ("result", result)];
            text.sample("pylb_tls_handshakes_total", &labels, count);
        }
    }
}

fn queues(running: &Running, now: Tick, text: &mut Text) {
    let mut pools = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Seating) -> f64| {
        text.family(name, kind, help);
        for (pool, seating) in running.plan.pools.iter().zip(running.seatings()) {
            text.sample(name, &[("pool", &pool.name)], value(seating));
        }
    };
    let total = |count: &std::sync::atomic::AtomicU64| count.load(std::sync::atomic::Ordering::Relaxed) as f64;
    pools("pylb_queue_depth", "gauge", "Requests that wait for a place.", &|seating| seating.depth().0 as f64);
    pools("pylb_queue_oldest_seconds", "gauge", "For how long the oldest of them has waited.", &|seating| {
        seating.depth().1.map_or(0.0, |since| now.since(since).as_secs_f64())
    });
    pools("pylb_queue_waited_total", "counter", "Requests that have waited.", &|seating| total(&seating.waited));
    pools("pylb_queue_refused_total", "counter", "Requests refused because the queue was full.", &|seating| {
        total(&seating.refused)
    });
    pools("pylb_queue_late_total", "counter", "Requests that waited in vain.", &|seating| total(&seating.late));
}

/// What is counted of backends.
fn backends(running: &Running, text: &mut Text) {
    let each = |visit: Visitor<'_>| {
        for (index, pool) in running.plan.pools.iter().enumerate() {
            for (slot, backend) in pool.pool.backends().iter().enumerate() {
                let labels = [("pool", &*pool.name), ("backend", &*backend.name)];
                visit(&labels, &running.record(index as u32, slot as u32).meter.total());
            }
        }
    };
    text.totals("pylb_backend_requests_total", "Exchanges that ended at a backend, by class of the status.", &each);
    text.histograms("pylb_backend_duration_seconds", "The same exchanges' time.", &each);
    let mut counter = |name: &str, help: &str, value: &dyn Fn(&BackendRecord) -> u64| {
        text.family(name, "counter", help);
        running.each_backend(|pool, backend, record| {
            text.sample(name, &[("pool", pool), ("backend", &backend.name)], value(record));
        });
    };
    counter("pylb_ejections_total", "Times that passive checking took a backend out.", &|record| record.ejections());
    counter("pylb_backend_cut_total", "Exchanges and tunnels cut because a drain was over.", &|record| record.cut());
}

/// How backends are now.
fn backends_now(running: &Running, now: Tick, text: &mut Text) {
    text.family("pylb_backend_warmth", "gauge", "The part of its share that it gets: below 1 while it warms up.");
    for pool in &running.plan.pools {
        for (slot, backend) in pool.pool.backends().iter().enumerate() {
            let warmth = f64::from(pool.pool.warmth(slot as u32, now)) / 100.0;
            text.sample("pylb_backend_warmth", &[("pool", &pool.name), ("backend", &backend.name)], warmth);
        }
    }
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&balance::Backend) -> f64| {
        text.family(name, "gauge", help);
        for pool in &running.plan.pools {
            for backend in pool.pool.backends() {
                text.sample(name, &[("pool", &pool.name), ("backend", &backend.name)], value(backend));
            }
        }
    };
    gauge("pylb_backend_up", "1 unless its health check says down.", &|backend| {
        f64::from(u8::from(backend.live.health() != Health::Down))
    });
    gauge("pylb_backend_ejected", "1 while passive checking keeps it out.", &|backend| {
        f64::from(u8::from(backend.live.ejected(now)))
    });
    gauge("pylb_backend_in_flight", "Requests at the backend now.", &|backend| f64::from(backend.live.in_flight()));
    gauge("pylb_backend_draining", "1 while it gets no new clients.", &|backend| {
        f64::from(u8::from(backend.live.draining()))
    });
    gauge("pylb_backend_limit", "Requests that may be at the backend at once; 0 without a limit.", &|backend| {
        f64::from(backend.max_in_flight.unwrap_or(0))
    });
    gauge("pylb_backend_latency_seconds", "Moving average of the time to a response head.", &|backend| {
        backend.live.latency_micros() as f64 / 1e6
    });
}

/// Called with the labels and the numbers of one route or backend.
type Visitor<'a> = &'a mut dyn FnMut(&[(&str, &str)], &Total);
/// Calls its visitor for each of them.
type Visit<'a> = &'a dyn Fn(Visitor<'_>);

/// The text under construction.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.0.push(if position == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        self.0.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.0, "{value}");
    }

    fn totals(&mut self, name: &str, help: &str, each: Visit<'_>) {
        self.family(name, "counter", help);
        each(&mut |labels, total| {
            for (class, count) in CLASS_NAMES.iter().zip(total.by_class) {
                if count > 0 {
                    self.sample(name, &[labels, &[("class", class)]].concat(), count);
                }
            }
        });
    }

    fn histograms(&mut self, name: &str, help: &str, each: Visit<'_>) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        each(&mut |labels, total| {
            let mut so_far = 0;
            for (position, count) in total.latency.iter().enumerate() {
                so_far += count;
                let bound = BOUNDS_US.get(position).map_or("+Inf".to_owned(), |us| (*us as f64 / 1e6).to_string());
                self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), so_far);
            }
            self.sample(&format!("{name}_sum"), labels, total.latency_us as f64 / 1e6);
            self.sample(&format!("{name}_count"), labels, so_far);
        });
    }
}
