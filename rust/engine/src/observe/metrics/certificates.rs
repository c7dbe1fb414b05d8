//! Certificates: when they end, and whether what is in their files is of use.

use std::collections::HashSet;

use super::Text;
use crate::running::Running;
use crate::shared::Shared;
use crate::tls::Watched;

/// Of every listener and pool that has some.
pub(super) fn certificates(shared: &Shared, running: &Running, text: &mut Text) {
    let (renewed, refused) = shared.renewals.counts();
    text.family(
        "pylb_certificate_renewals_total",
        "counter",
        "Certificates and authorities whose files changed: taken, or refused and the last good ones kept.",
    );
    text.sample("pylb_certificate_renewals_total", &[("result", "renewed")], renewed);
    text.sample("pylb_certificate_renewals_total", &[("result", "refused")], refused);
    text.family("pylb_certificate_expiry_seconds", "gauge", "When a certificate ends: seconds since 1970.");
    each(running, &mut |owner, watched| {
        if let Some(end) = watched.not_after {
            text.sample("pylb_certificate_expiry_seconds", &[owner, ("certificate", watched.file)], end);
        }
    });
    text.family(
        "pylb_certificate_broken",
        "gauge",
        "1 while the last good certificate or authority is in force, because its file is of no use now.",
    );
    each(running, &mut |owner, watched| {
        let broken = u8::from(shared.renewals.is_broken(watched.file));
        text.sample("pylb_certificate_broken", &[owner, ("certificate", watched.file)], broken);
    });
}

/// Calls `visit` with whose it is, as a label, and the file: once for each owner, or a scrape would have a sample twice.
fn each<'r>(running: &'r Running, visit: &mut dyn FnMut((&'static str, &'r str), Watched<'r>)) {
    let mut seen = HashSet::new();
    let mut once = |owner, watched: Watched<'r>| {
        if seen.insert((owner, watched.file)) {
            visit(owner, watched);
        }
    };
    for (position, listener) in running.plan.listeners.iter().enumerate() {
        let server = running.tls.server(position as u32);
        server.into_iter().flat_map(|tls| tls.watched()).for_each(|file| once(("listener", &*listener.name), file));
    }
    for (position, pool) in running.plan.pools.iter().enumerate() {
        let client = running.tls.client(position as u32);
        client.into_iter().flat_map(|tls| tls.watched()).for_each(|file| once(("pool", &*pool.name), file));
    }
}
