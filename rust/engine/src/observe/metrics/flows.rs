//! Of `/metrics`, the flows of listeners for datagrams.

use plan::Service;

use super::Text;
use crate::observe::meter::Count;
use crate::running::Running;
use crate::udp::meter::{Dropped, FlowLane, FlowMeter};

/// The meters of the listeners that have flows, with their names.
type Meters<'a> = [(&'a str, &'a FlowMeter)];

/// Nothing where there are no such listeners.
pub(super) fn render(running: &Running, text: &mut Text) {
    let listeners = running.plan.listeners.iter().enumerate();
    let udp = listeners.filter(|(_, listener)| matches!(listener.service, Service::Udp(_)));
    let meters: Vec<_> = udp.map(|(index, listener)| (&*listener.name, &*running.meters(index as u32).flows)).collect();
    if meters.is_empty() {
        return;
    }
    text.flows("pylb_udp_flows", "gauge", "Flows of datagrams open now.", &meters, |lane| &lane.open);
    text.flows("pylb_udp_flows_total", "counter", "Flows of datagrams.", &meters, |lane| &lane.flows);
    text.flows("pylb_udp_evicted_total", "counter", "Flows ended to make room for others.", &meters, |lane| {
        &lane.evicted
    });
    text.ways("pylb_udp_datagrams_total", "Datagrams passed on.", &meters, |lane| {
        [&lane.datagrams_in, &lane.datagrams_out]
    });
    text.ways("pylb_udp_bytes_total", "Their bytes.", &meters, |lane| [&lane.bytes_in, &lane.bytes_out]);
    let name = "pylb_udp_dropped_total";
    text.family(name, "counter", "Datagrams of clients that did not go on.");
    for (listener, meter) in &meters {
        for (position, why) in Dropped::NAMES.iter().enumerate() {
            text.sample(name, &[("listener", listener), ("reason", why)], meter.sum(|lane| &lane.dropped[position]));
        }
    }
}

impl Text {
    fn flows(&mut self, name: &str, kind: &str, help: &str, meters: &Meters<'_>, count: fn(&FlowLane) -> &Count) {
        self.family(name, kind, help);
        for (listener, meter) in meters {
            self.sample(name, &[("listener", listener)], meter.sum(count));
        }
    }

    /// From clients, and to them.
    fn ways(&mut self, name: &str, help: &str, meters: &Meters<'_>, counts: fn(&FlowLane) -> [&Count; 2]) {
        self.family(name, "counter", help);
        for (listener, meter) in meters {
            for (position, direction) in ["in", "out"].into_iter().enumerate() {
                let labels = [("listener", *listener), ("direction", direction)];
                self.sample(name, &labels, meter.sum(|lane| counts(lane)[position]));
            }
        }
    }
}
