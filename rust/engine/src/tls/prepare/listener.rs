//! TLS of a listener: its certificates by name, and a configuration for each thing that is asked of clients.

use std::sync::Arc;
use std::time::Duration;

use plan::{ClientAuth, ClientHeaders, TlsPlan, TlsVersion};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;

use super::Making;
use crate::tls::certificate::Certified;
use crate::tls::fingerprint::{Fingerprint, Mixer};
use crate::tls::names::Names;
use crate::tls::place::Place;
use crate::tls::server::{Choice, Policy, Resolver, ServerTls};
use crate::tls::{VERSIONS, client_auth, provider, tickets};

/// What is asked where nobody says anything.
static NOTHING: ClientAuth = ClientAuth::None { headers: ClientHeaders { subject: None, san: None } };

/// A listener's TLS while it is made.
struct Draft<'p> {
    plan: &'p TlsPlan,
    /// Speaks HTTP/1.1 and says so.
    http: bool,
    certificates: Vec<Arc<Certified>>,
    /// What is asked, each once, with the place where it is written.
    demands: Vec<(&'p ClientAuth, Place)>,
    /// Of each certificate, the position in `demands`.
    policies: Vec<usize>,
}

impl Making<'_> {
    /// What a listener shows; `known` if that is the same.
    pub(super) fn server(
        &mut self,
        at: &Place,
        plan: &TlsPlan,
        http: bool,
        known: Option<&Arc<ServerTls>>,
    ) -> Option<Arc<ServerTls>> {
        let at_certificate = |index| at.key("certificates").index(index);
        let mut shown = Vec::new();
        let mut draft = Draft { plan, http, certificates: Vec::new(), demands: Vec::new(), policies: Vec::new() };
        for (index, certificate) in plan.certificates.iter().enumerate() {
            let at_certificate = at_certificate(index);
            let own = certificate.client_auth.as_ref().map(|asked| (asked, at_certificate.key("client_auth")));
            let listeners = || plan.client_auth.as_ref().map(|asked| (asked, at.key("client_auth")));
            draft.demand(own.or_else(listeners).unwrap_or_else(|| (&NOTHING, at.clone())));
            if let Some(certified) = self.pair(&at_certificate, &certificate.files) {
                shown.push(self.watch(&at_certificate, &certificate.files, &certified));
                draft.certificates.push(certified);
            }
        }
        let print = self.print_of_listener(&draft);
        if let Some(known) = known.filter(|known| known.print == print) {
            return Some(Arc::clone(known));
        }
        let verifiers = self.verifiers(&draft, known);
        if draft.certificates.len() < plan.certificates.len() || verifiers.iter().any(Option::is_none) {
            return None;
        }
        let (by_name, resolver) = self.by_name(at, &draft);
        let resolver = Arc::new(resolver);
        let policies = draft.demands.iter().zip(verifiers.into_iter().flatten());
        let policies = policies.map(|((asked, place), verifier)| {
            let print = self.print_of_policy(asked);
            self.policy(place, &draft, asked, (print, verifier), &resolver, known)
        });
        let policies = policies.collect::<Option<Vec<_>>>()?;
        let authorities = draft.demands.iter().filter_map(|(asked, _)| match asked {
            ClientAuth::None { .. } => None,
            ClientAuth::Ask { ca, .. } => Some(ca.clone()),
        });
        let authorities = authorities.collect();
        Some(Arc::new(ServerTls { policies, by_name, print, certificates: shown, authorities }))
    }

    /// One verifier for each demand; a missing one is among the errors.
    fn verifiers(
        &mut self,
        draft: &Draft<'_>,
        known: Option<&Arc<ServerTls>>,
    ) -> Vec<Option<Arc<dyn ClientCertVerifier>>> {
        let verifier = |(asked, place): &(&ClientAuth, Place)| {
            let ClientAuth::Ask { required, ca, .. } = asked else {
                return Some(Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>);
            };
            let print = self.print_of_policy(asked);
            let in_force = known.is_some_and(|known| known.policies.iter().any(|policy| policy.print == print));
            let now = if in_force { Duration::ZERO } else { self.now };
            let at = place.key("ca");
            let file = self.file(&at, ca)?;
            let made = client_auth::verifier(provider(), file, *required, now);
            made.map_err(|message| self.errors.push(at.says(message))).ok()
        };
        draft.demands.iter().map(verifier).collect()
    }

    /// Which policy and which certificates a name leads to. The first certificate with a name decides what is asked of
    /// its clients; another may stand beside it only if it asks for the same.
    fn by_name(&mut self, at: &Place, draft: &Draft<'_>) -> (Names<usize>, Resolver) {
        let first = &draft.certificates[0];
        let mut policies = Names::new(draft.policies[0]);
        let mut keys: Names<Vec<Arc<CertifiedKey>>> = Names::new(vec![Arc::clone(&first.key)]);
        for (index, certified) in draft.certificates.iter().enumerate() {
            let policy = draft.policies[index];
            for name in &certified.names {
                let taken = *policies.entry(name, || policy);
                if taken != policy {
                    let place = at.key("certificates").index(index);
                    self.errors.push(place.says(format!(
                        "another certificate before it is for `{name}` too, and asks other things of clients"
                    )));
                }
                keys.entry(name, Vec::new).push(Arc::clone(&certified.key));
            }
        }
        (policies, Resolver(keys))
    }

    fn policy(
        &mut self,
        at: &Place,
        draft: &Draft<'_>,
        asked: &ClientAuth,
        (print, verifier): (Fingerprint, Arc<dyn ClientCertVerifier>),
        resolver: &Arc<Resolver>,
        known: Option<&Arc<ServerTls>>,
    ) -> Option<Policy> {
        let known = known.and_then(|known| known.policies.iter().find(|policy| policy.print == print));
        let (tickets, number) = match known {
            Some(known) => (Arc::clone(&known.tickets), known.choice.policy),
            None => {
                let fresh = tickets::fresh().map_err(|message| self.errors.push(at.says(message)));
                (fresh.ok()?, self.number())
            }
        };
        let versions = if draft.plan.min_version == TlsVersion::Tls13 { &[&TLS13] } else { VERSIONS };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider())).with_protocol_versions(versions);
        let builder = builder.map_err(|error| self.errors.push(at.says(error.to_string()))).ok()?;
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::clone(resolver) as Arc<_>);
        config.ticketer = Arc::clone(&tickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = if draft.http { vec![b"http/1.1".to_vec()] } else { Vec::new() };
        let choice = Choice { config: Arc::new(config), policy: number };
        Some(Policy { choice, headers: asked.headers().clone(), print, tickets })
    }

    fn print_of_listener(&self, draft: &Draft<'_>) -> Fingerprint {
        let mixer = Mixer::new().part(format!("{:?} {}", draft.plan, draft.http).as_bytes());
        let pairs = draft.plan.certificates.iter().flat_map(|one| [&one.files.cert, &one.files.key]);
        let mixer = pairs.fold(mixer, |mixer, file| mixer.part(self.content(file)));
        let asked = draft.demands.iter().map(|(asked, _)| self.print_of_policy(asked));
        asked.fold(mixer, |mixer, print| mixer.part(print.bytes())).print()
    }

    /// What a session proves: sessions of another print are worth nothing.
    fn print_of_policy(&self, asked: &ClientAuth) -> Fingerprint {
        let content = match asked {
            ClientAuth::None { .. } => b"",
            ClientAuth::Ask { ca, .. } => self.content(ca),
        };
        Fingerprint::of(&[format!("{asked:?}").as_bytes(), content])
    }
}

impl<'p> Draft<'p> {
    fn demand(&mut self, (asked, place): (&'p ClientAuth, Place)) {
        let known = self.demands.iter().position(|(known, _)| *known == asked);
        self.policies.push(known.unwrap_or(self.demands.len()));
        if known.is_none() {
            self.demands.push((asked, place));
        }
    }
}
