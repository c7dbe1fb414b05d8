//! TLS of a pool: what is believed of its backends, and what is shown to them.

use std::sync::Arc;
use std::time::Duration;

use plan::PoolTls;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Making;
use crate::tls::backend::{self, Belief, ClientTls};
use crate::tls::client_auth::{Authorities, authorities};
use crate::tls::fingerprint::{Fingerprint, Mixer};
use crate::tls::place::Place;
use crate::tls::provider;

impl Making<'_> {
    /// How backends are spoken to; `known` if that is the same.
    pub(super) fn client(
        &mut self,
        at: &Place,
        plan: &PoolTls,
        known: Option<&Arc<ClientTls>>,
    ) -> Option<Arc<ClientTls>> {
        let shown = plan.certificate.as_ref().map(|pair| self.pair(at, pair).map(|certified| (pair, certified)));
        let print = self.print_of_pool(plan);
        let watched = shown.iter().flatten().map(|(pair, certified)| self.watch(at, pair, certified)).next();
        if let Some(known) = known.filter(|known| known.print == print) {
            return Some(Arc::clone(known));
        }
        let in_force = known.is_some_and(|known| known.belief == self.print_of_belief(plan));
        let belief = self.belief(at, plan, if in_force { Duration::ZERO } else { self.now });
        let key = match shown {
            Some(shown) => Some(Arc::clone(&shown?.1.key)),
            None => None,
        };
        let made = backend::config(provider(), belief?, key);
        let config = made.map_err(|message| self.errors.push(at.key("ca").says(message))).ok()?;
        let belief = self.print_of_belief(plan);
        let ca = plan.ca.clone().filter(|_| plan.verify);
        Some(Arc::new(ClientTls { config, print, belief, shown: watched, ca }))
    }

    fn belief(&mut self, at: &Place, plan: &PoolTls, now: Duration) -> Option<Belief> {
        if !plan.verify {
            return Some(Belief::Any);
        }
        let Some(ca) = &plan.ca else { return self.system(at).map(Belief::Of) };
        let at = at.key("ca");
        let file = self.file(&at, ca)?;
        authorities(file, now).map(Belief::Of).map_err(|message| self.errors.push(at.says(message))).ok()
    }

    /// What the system believes in. There are many, and some may be beyond us.
    fn system(&mut self, at: &Place) -> Option<Authorities> {
        let bytes = self.file(at, PoolTls::SYSTEM)?.bytes;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok));
        if roots.is_empty() {
            self.errors.push(at.says("this system trusts no authorities; write which in `ca`"));
            return None;
        }
        Some((roots, Vec::new()))
    }

    fn print_of_pool(&self, plan: &PoolTls) -> Fingerprint {
        let pair = plan.certificate.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let mixer = Mixer::new().part(format!("{plan:?}").as_bytes()).part(self.print_of_belief(plan).bytes());
        pair.fold(mixer, |mixer, file| mixer.part(self.content(file))).print()
    }

    fn print_of_belief(&self, plan: &PoolTls) -> Fingerprint {
        let ca = plan.ca.as_deref().unwrap_or(PoolTls::SYSTEM);
        let content = if plan.verify { self.content(ca) } else { b"" };
        Fingerprint::of(&[content])
    }
}
