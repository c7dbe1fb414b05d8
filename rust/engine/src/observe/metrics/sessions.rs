//! Of `/metrics`, sessions of TCP, and connections that never came so far.

use plan::Service;

use super::{Sum, Text};
use crate::observe::meter::Total;
use crate::running::{Running, route_names};

/// What moves, over all listeners.
pub(super) fn totals(sum: Sum<'_>, text: &mut Text) {
    text.gauge("pylb_tcp_sessions", "TCP sessions open now.", sum(&|meter| meter.sessions.open.value()));
    text.family("pylb_tcp_bytes_total", "counter", "Bytes of TCP sessions.");
    text.sample("pylb_tcp_bytes_total", &[("direction", "in")], sum(&|meter| meter.sessions.bytes_in.value()));
    text.sample("pylb_tcp_bytes_total", &[("direction", "out")], sum(&|meter| meter.sessions.bytes_out.value()));
    text.counter(
        "pylb_turned_away_total",
        "Connections closed before anything was spoken on them: no PROXY header, no TLS, no name that is known.",
        sum(&|meter| meter.turned_away.value()),
    );
}

/// By listener and route, how they ended.
pub(super) fn render(running: &Running, text: &mut Text) {
    let name = "pylb_tcp_sessions_total";
    text.family(name, "counter", "TCP sessions that are over; clean: both sides have said goodbye.");
    let mut visit = |listener: &str, route: &str, total: &Total| {
        for (result, class) in [("clean", 2), ("cut", 4), ("no_backend", 0)] {
            let labels = [("listener", listener), ("route", route), ("result", result)];
            if total.by_class[class] > 0 {
                text.sample(name, &labels, total.by_class[class]);
            }
        }
    };
    for (index, listener) in running.plan.listeners.iter().enumerate() {
        if !matches!(listener.service, Service::Tcp { .. } | Service::Names(_)) {
            continue;
        }
        let meters = running.meters(index as u32);
        visit(&listener.name, "", &meters.unrouted.total());
        for (route, meter) in route_names(listener).zip(&meters.routes) {
            visit(&listener.name, route, &meter.total());
        }
    }
}
