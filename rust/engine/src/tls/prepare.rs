//! Makes TLS of a plan ready, or says everything that is wrong with its files, each at its place in the draft.
//!
//! Nothing is opened here, and nothing that did not change is made again. A pair of certificate and key that is in force
//! is not judged anew: when its time is over, it is served on, with a warning, rather than standing in the way of every
//! other change. A new one that is over is refused.

mod listener;
mod pool;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plan::{Pair, Plan, PlanError};

use super::backend::ClientTls;
use super::certificate::{self, Certified, Source, date};
#[cfg(test)]
use super::client_auth;
use super::fingerprint::Fingerprint;
use super::place::Place;
use super::server::ServerTls;
use super::shown::Shown;
use super::{Files, provider};

/// A certificate that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DAY: u64 = 24 * 60 * 60;

/// TLS of a plan, ready to be used.
#[derive(Default)]
pub(crate) struct Tls {
    servers: Vec<Option<Arc<ServerTls>>>,
    clients: Vec<Option<Arc<ClientTls>>>,
    /// Positions in `servers` and `clients`, for the plan after this one.
    listeners: HashMap<Box<str>, usize>,
    pools: HashMap<Box<str>, usize>,
    pairs: HashMap<Fingerprint, Arc<Certified>>,
    next_policy: u32,
    /// What should be looked after soon.
    pub warnings: Vec<PlanError>,
}

impl Tls {
    /// Of a listener, if it has TLS.
    pub(crate) fn server(&self, listener: u32) -> Option<&Arc<ServerTls>> {
        self.servers.get(listener as usize)?.as_ref()
    }

    /// Of a pool, if its backends have TLS.
    pub(crate) fn client(&self, pool: u32) -> Option<&Arc<ClientTls>> {
        self.clients.get(pool as usize)?.as_ref()
    }

    fn server_named(&self, listener: &str) -> Option<&Arc<ServerTls>> {
        self.servers.get(*self.listeners.get(listener)?)?.as_ref()
    }

    fn client_named(&self, pool: &str) -> Option<&Arc<ClientTls>> {
        self.clients.get(*self.pools.get(pool)?)?.as_ref()
    }
}

/// Makes TLS of `plan` ready; what is as in `previous` is taken over.
pub(crate) fn prepare(plan: &Plan, files: &Files, previous: Option<&Tls>) -> Result<Tls, Vec<PlanError>> {
    prepare_at(plan, files, previous, SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// As `prepare`, at a time since 1970.
fn prepare_at(plan: &Plan, files: &Files, previous: Option<&Tls>, now: Duration) -> Result<Tls, Vec<PlanError>> {
    let mut making = Making::new(files, previous, now);
    let mut tls = Tls::default();
    for (position, listener) in plan.listeners.iter().enumerate() {
        let known = previous.and_then(|tls| tls.server_named(&listener.name));
        let at = Place::of("listeners", &listener.name).key("tls");
        let http = listener.http().is_some();
        tls.servers.push(listener.tls.as_deref().and_then(|wanted| making.server(&at, wanted, http, known)));
        tls.listeners.insert(listener.name.clone(), position);
    }
    for (position, pool) in plan.pools.iter().enumerate() {
        let known = previous.and_then(|tls| tls.client_named(&pool.name));
        let at = Place::of("pools", &pool.name).key("tls");
        tls.clients.push(pool.tls.as_deref().and_then(|wanted| making.client(&at, wanted, known)));
        tls.pools.insert(pool.name.clone(), position);
    }
    making.finish(tls)
}

/// What is under way.
struct Making<'a> {
    files: &'a Files,
    previous: Option<&'a Tls>,
    /// Since 1970.
    now: Duration,
    pairs: HashMap<Fingerprint, Arc<Certified>>,
    next_policy: u32,
    errors: Vec<PlanError>,
    warnings: Vec<PlanError>,
}

impl<'a> Making<'a> {
    fn new(files: &'a Files, previous: Option<&'a Tls>, now: Duration) -> Self {
        let next_policy = previous.map_or(0, |tls| tls.next_policy);
        Making { files, previous, now, pairs: HashMap::new(), next_policy, errors: Vec::new(), warnings: Vec::new() }
    }

    /// What came of it, or everything that is wrong.
    fn finish(self, tls: Tls) -> Result<Tls, Vec<PlanError>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Tls { pairs: self.pairs, next_policy: self.next_policy, warnings: self.warnings, ..tls })
    }

    /// A file, by the name that the draft has for it.
    fn file<'n>(&mut self, at: &Place, name: &'n str) -> Option<Source<'n>>
    where
        'a: 'n,
    {
        let found = self.files.get(name);
        if found.is_none() {
            self.errors.push(at.says(format!("`{name}` was not read")));
        }
        Some(Source { name, bytes: found? })
    }

    /// The content of a file for a fingerprint.
    fn content(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(b"", Vec::as_slice)
    }

    /// A certificate with its key.
    fn pair(&mut self, at: &Place, pair: &Pair) -> Option<Arc<Certified>> {
        let cert = self.file(&at.key("cert"), &pair.cert);
        let key = self.file(&at.key("key"), &pair.key);
        let (cert, key) = (cert?, key?);
        let print = Fingerprint::of(&[cert.bytes, key.bytes]);
        let known = self.pairs.get(&print).or_else(|| self.previous?.pairs.get(&print));
        let certified = match known {
            Some(known) => Arc::clone(known),
            None => match certificate::certified(provider(), cert, key, self.now) {
                Ok(certified) => Arc::new(certified),
                Err(flaws) => {
                    let place = |of_key| at.key(if of_key { "key" } else { "cert" });
                    self.errors.extend(flaws.into_iter().map(|flaw| place(flaw.of_key).says(flaw.message)));
                    return None;
                }
            },
        };
        self.pairs.insert(print, Arc::clone(&certified));
        Some(certified)
    }

    /// Warns of a certificate whose time is over, or nearly.
    fn watch(&mut self, at: &Place, pair: &Pair, certified: &Certified) -> Shown {
        let left = certified.not_after.saturating_sub(self.now.as_secs());
        if left < SOON.as_secs() {
            let said = match (left, left / DAY) {
                (0, _) => "expired and is still in force; replace it".to_owned(),
                (_, 0) => "expires within a day".to_owned(),
                (_, 1) => "expires in 1 day".to_owned(),
                (_, days) => format!("expires in {days} days"),
            };
            self.warnings.push(at.key("cert").says(format!("`{}` {said} ({})", pair.cert, date(certified.not_after))));
        }
        Shown { file: pair.cert.clone(), names: certified.names.clone(), not_after: certified.not_after }
    }

    /// A number for a policy that has none yet.
    fn number(&mut self) -> u32 {
        self.next_policy += 1;
        self.next_policy - 1
    }
}

#[cfg(test)]
mod tests;
