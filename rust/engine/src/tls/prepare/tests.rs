use plan::{CertificatePlan, ClientAuth, ClientHeaders, PoolTls, TlsPlan, TlsVersion};

use super::*;
use crate::tls::internal::mint;
use crate::tls::workshop::{Authority, DAY, Issued, Wish, meet, now, self_signed};

/// A listener `secure` and a pool `web`, prepared like those of a plan.
struct World {
    files: Files,
    now: Duration,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect();
        World { files, now: now() }
    }

    fn with(mut self, issued: &Issued, name: &str) -> Self {
        self.put(issued, name);
        self
    }

    fn put(&mut self, issued: &Issued, name: &str) {
        self.files.insert(format!("/x/{name}.pem"), issued.cert.as_bytes().to_vec());
        self.files.insert(format!("/x/{name}.key"), issued.key.as_bytes().to_vec());
    }

    fn prepare(
        &self,
        server: Option<&TlsPlan>,
        client: Option<&PoolTls>,
        previous: Option<&Tls>,
    ) -> Result<Tls, Vec<String>> {
        let mut making = Making::new(&self.files, previous, self.now);
        let known = previous.and_then(|tls| tls.server_named("secure"));
        let at = Place::of("listeners", "secure").key("tls");
        let servers = vec![server.and_then(|plan| making.server(&at, plan, true, known))];
        let known = previous.and_then(|tls| tls.client_named("web"));
        let at = Place::of("pools", "web").key("tls");
        let clients = vec![client.and_then(|plan| making.client(&at, plan, known))];
        let by_name = |name: &str| HashMap::from([(Box::from(name), 0)]);
        let tls = Tls { servers, clients, listeners: by_name("secure"), pools: by_name("web"), ..Tls::default() };
        making.finish(tls).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    fn server(&self, plan: &TlsPlan, previous: Option<&Tls>) -> Tls {
        self.prepare(Some(plan), None, previous).expect("a listener")
    }

    fn client(&self, plan: &PoolTls) -> Arc<ClientTls> {
        let tls = self.prepare(None, Some(plan), None).expect("a pool");
        Arc::clone(tls.client(0).expect("a pool with TLS"))
    }
}

fn pair(name: &str) -> Pair {
    Pair { cert: format!("/x/{name}.pem").into(), key: format!("/x/{name}.key").into() }
}

fn listener(certificates: &[(&str, Option<ClientAuth>)]) -> TlsPlan {
    let certificate = |(name, client_auth): &(&str, Option<ClientAuth>)| CertificatePlan {
        files: pair(name),
        client_auth: client_auth.clone(),
    };
    TlsPlan {
        certificates: certificates.iter().map(certificate).collect(),
        min_version: TlsVersion::Tls12,
        client_auth: None,
    }
}

fn asks(required: bool) -> ClientAuth {
    ClientAuth::Ask { required, ca: "/x/clients.pem".into(), headers: ClientHeaders::default() }
}

fn pool() -> PoolTls {
    PoolTls { ca: Some("/x/ca.pem".into()), certificate: None, verify: true }
}

/// The certificate that a client gets that asks for `name`.
fn shown(tls: &Tls, client: &ClientTls, name: &str) -> Vec<u8> {
    let choice = tls.server(0).expect("TLS").choose(Some(name));
    let met = meet(&client.config, &choice.config, name).expect("they meet");
    met.client.peer_certificates().expect("a certificate")[0].to_vec()
}

fn is_of(der: &[u8], issued: &Issued) -> bool {
    certificate::chain(Source { name: "", bytes: issued.cert.as_bytes() }).expect("a chain")[0].as_ref() == der
}

#[test]
fn certificates_are_chosen_by_name() {
    let authority = Authority::new("ca");
    let (shop, all) = (Wish::server(&["shop.example"]), Wish::server(&["*.shop.example", "other.test"]));
    let (shop, all) = (authority.issue(&shop), authority.issue(&all));
    let world = World::new(&[("/x/ca.pem", &authority.pem)]).with(&shop, "shop").with(&all, "all");
    let tls = world.server(&listener(&[("shop", None), ("all", None)]), None);
    let client = world.client(&pool());
    assert!(is_of(&shown(&tls, &client, "shop.example"), &shop));
    assert!(is_of(&shown(&tls, &client, "www.shop.example"), &all));
    assert!(is_of(&shown(&tls, &client, "other.test"), &all));
    let unverified = world.client(&PoolTls { verify: false, ..pool() });
    assert!(is_of(&shown(&tls, &unverified, "unknown.test"), &shop));
    assert_eq!(tls.server(0).expect("TLS").policies.len(), 1);
}

#[test]
fn what_did_not_change_is_the_same() {
    let authority = Authority::new("ca");
    let issued = authority.issue(&Wish::server(&["shop.example"]));
    let mut world = World::new(&[("/x/ca.pem", &authority.pem)]).with(&issued, "shop");
    let plan = listener(&[("shop", None)]);
    let first = world.prepare(Some(&plan), Some(&pool()), None).expect("ready");
    let second = world.prepare(Some(&plan), Some(&pool()), Some(&first)).expect("ready");
    assert!(Arc::ptr_eq(first.server(0).expect("TLS"), second.server(0).expect("TLS")));
    assert!(Arc::ptr_eq(first.client(0).expect("TLS"), second.client(0).expect("TLS")));

    world.put(&authority.issue(&Wish::server(&["shop.example"])), "shop");
    let third = world.prepare(Some(&plan), Some(&pool()), Some(&second)).expect("ready");
    assert!(!Arc::ptr_eq(second.server(0).expect("TLS"), third.server(0).expect("TLS")));
    assert!(Arc::ptr_eq(second.client(0).expect("TLS"), third.client(0).expect("TLS")));
}

#[test]
fn tickets_outlive_a_new_certificate_but_not_a_new_demand() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let mut world = World::new(&[("/x/ca.pem", &authority.pem), ("/x/clients.pem", &clients.pem)]);
    world.put(&authority.issue(&Wish::server(&["shop.example"])), "shop");
    let client = world.client(&pool());
    let resumed = |tls: &Tls| {
        let choice = tls.server(0).expect("TLS").choose(Some("shop.example"));
        let met = meet(&client.config, &choice.config, "shop.example").expect("they meet");
        met.server.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    };
    let plan = listener(&[("shop", None)]);
    let first = world.server(&plan, None);
    assert!(!resumed(&first));
    assert!(resumed(&first));
    world.put(&authority.issue(&Wish::server(&["shop.example"])), "shop");
    let second = world.server(&plan, Some(&first));
    assert!(resumed(&second));
    assert_eq!(first.server(0).map(|tls| tls.policy_of(b"x")), second.server(0).map(|tls| tls.policy_of(b"x")));
    let third = world.server(&TlsPlan { client_auth: Some(asks(false)), ..plan }, Some(&second));
    assert!(!resumed(&third));
    assert_ne!(second.server(0).map(|tls| tls.policy_of(b"x")), third.server(0).map(|tls| tls.policy_of(b"x")));
}

#[test]
fn clients_are_asked_by_name() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let mut world = World::new(&[("/x/ca.pem", &authority.pem), ("/x/clients.pem", &clients.pem)]);
    world.put(&authority.issue(&Wish::server(&["open.example"])), "open");
    world.put(&authority.issue(&Wish::server(&["shut.example"])), "shut");
    world.put(&clients.issue(&Wish::client(&["alice.example"])), "alice");
    world.put(&Authority::new("others").issue(&Wish::client(&["mallory.example"])), "mallory");
    let tls = world.server(&listener(&[("open", None), ("shut", Some(asks(true)))]), None);
    let server = tls.server(0).expect("TLS");
    assert_eq!(server.policies.len(), 2);
    assert_ne!(server.policy_of(b"open.example"), server.policy_of(b"shut.example"));
    assert_eq!(server.policy_of(b"open.example"), server.policy_of(b"10.0.0.1"));

    let with = |name: Option<&str>| world.client(&PoolTls { certificate: name.map(pair), ..pool() });
    let meets = |client: &ClientTls, name: &str| {
        meet(&client.config, &server.choose(Some(name)).config, name)
            .map(|met| met.server.peer_certificates().is_some())
            .map_err(|error| client_auth::refusal(&error).into_owned())
    };
    assert_eq!(meets(&with(None), "open.example"), Ok(false));
    assert_eq!(meets(&with(Some("alice")), "shut.example"), Ok(true));
    assert_eq!(meets(&with(None), "shut.example"), Err("client sent no certificate".to_owned()));
    let unknown = "certificate is of an unknown authority".to_owned();
    assert_eq!(meets(&with(Some("mallory")), "shut.example"), Err(unknown));
}

#[test]
fn one_name_asks_one_thing() {
    let authority = Authority::new("ca");
    let world = World::new(&[("/x/clients.pem", &authority.pem)])
        .with(&authority.issue(&Wish::server(&["shop.example"])), "one")
        .with(&authority.issue(&Wish::server(&["shop.example"])), "two");
    world.server(&listener(&[("one", None), ("two", None)]), None);
    let errors = world.prepare(Some(&listener(&[("one", None), ("two", Some(asks(true)))])), None, None).err();
    let message = "listeners.secure.tls.certificates[1]: another certificate before it is for `shop.example` too, and \
                   asks other things of clients";
    assert_eq!(errors, Some(vec![message.to_owned()]));
}

#[test]
fn every_mistake_has_its_place() {
    let authority = Authority::new("ca");
    let (one, two) = (authority.issue(&Wish::server(&["a"])), authority.issue(&Wish::server(&["b"])));
    let mixed = Issued { cert: one.cert.clone(), key: two.key };
    let over = authority.issue(&Wish { to: -DAY, ..Wish::client(&["c"]) });
    let world = World::new(&[("/x/ca.pem", "nothing"), ("/x/clients.pem", &Authority::until("old", -DAY).pem)])
        .with(&mixed, "mixed")
        .with(&over, "over");
    let plan = TlsPlan { client_auth: Some(asks(true)), ..listener(&[("mixed", None), ("missing", None)]) };
    let pool = PoolTls { certificate: Some(pair("over")), ..pool() };
    let errors = world.prepare(Some(&plan), Some(&pool), None).err().expect("mistakes");
    let beginnings = [
        "listeners.secure.tls.certificates[0].key: `/x/mixed.key` does not belong to the certificate in `/x/mixed.pem`",
        "listeners.secure.tls.certificates[1].cert: `/x/missing.pem` was not read",
        "listeners.secure.tls.certificates[1].key: `/x/missing.key` was not read",
        "listeners.secure.tls.client_auth.ca: the certificate in `/x/clients.pem` has expired",
        "pools.web.tls.cert: `/x/over.pem` expired on ",
        "pools.web.tls.ca: there is no certificate in `/x/ca.pem`",
    ];
    assert_eq!(errors.len(), beginnings.len(), "{errors:#?}");
    for (error, beginning) in errors.iter().zip(beginnings) {
        assert!(error.starts_with(beginning), "{error}\n{beginning}");
    }
}

#[test]
fn what_is_in_force_is_not_judged_again() {
    let authority = Authority::new("ca");
    let issued = authority.issue(&Wish { to: 3 * DAY + 60, ..Wish::server(&["shop.example"]) });
    let mut world = World::new(&[]).with(&issued, "shop").with(&issued, "again");
    let plan = listener(&[("shop", None)]);
    let first = world.server(&plan, None);
    let said = first.warnings[0].to_string();
    assert!(said.starts_with("listeners.secure.tls.certificates[0].cert: `/x/shop.pem` expires in 3 days"), "{said}");
    world.now += Duration::from_secs(4 * DAY as u64);
    world.prepare(Some(&plan), None, None).err().expect("a fresh start refuses it");
    world.put(&authority.issue(&Wish::server(&["new.example"])), "new");
    let second = world.server(&listener(&[("shop", None), ("new", None)]), Some(&first));
    let said = second.warnings[0].to_string();
    assert!(said.contains("`/x/shop.pem` expired and is still in force"), "{said}");
}

#[test]
fn bad_backends_are_refused_in_words() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let server = |authority: &Authority, wish: &Wish<'_>| {
        let mut world = World::new(&[("/x/ca.pem", &authority.pem)]);
        // What a backend shows is none of our business, so it is judged at a time at which it is good.
        world.now = Duration::from_secs(now().as_secs().saturating_add_signed(wish.from) + 30);
        world.put(&authority.issue(wish), "backend");
        world.server(&listener(&[("backend", None)]), None)
    };
    let client = World::new(&[("/x/ca.pem", &authority.pem)]).client(&pool());
    let verdict = |client: &ClientTls, tls: &Tls| {
        let choice = tls.server(0).expect("TLS").choose(None);
        let met = meet(&client.config, &choice.config, "web.internal");
        met.map(drop).map_err(|error| super::super::backend::refusal(&error).into_owned())
    };
    let good = Wish::server(&["web.internal"]);
    assert_eq!(verdict(&client, &server(&authority, &good)), Ok(()));
    for (authority, wish, why) in [
        (&authority, Wish { from: -3 * DAY, to: -DAY, ..Wish::server(&["web.internal"]) }, "certificate expired on "),
        (&authority, Wish { from: DAY, ..Wish::server(&["web.internal"]) }, "certificate is not valid before "),
        (&authority, Wish::server(&["other.example"]), "certificate is for other.example, not web.internal"),
        (&authority, Wish::server(&["10.0.0.1"]), "certificate is for 10.0.0.1, not web.internal"),
        (&authority, Wish::client(&["web.internal"]), "certificate is not for servers"),
        (&other, Wish::server(&["web.internal"]), "certificate is of an unknown authority"),
    ] {
        let said = verdict(&client, &server(authority, &wish)).expect_err(why);
        assert!(said.starts_with(why), "{said}, not {why}");
        let blind = World::new(&[]).client(&PoolTls { verify: false, ..pool() });
        assert_eq!(verdict(&blind, &server(authority, &wish)), Ok(()));
    }
}

#[test]
fn a_certificate_that_is_named_itself_is_believed() {
    let own = self_signed("web.internal");
    let world = World::new(&[("/x/ca.pem", &own.cert)]).with(&own, "backend");
    let tls = world.server(&listener(&[("backend", None)]), None);
    let client = world.client(&pool());
    let choice = tls.server(0).expect("TLS").choose(None);
    meet(&client.config, &choice.config, "web.internal").map(drop).expect("it is believed");
    let refused = meet(&client.config, &choice.config, "other.internal").map(drop).expect_err("not by that name");
    let said = super::super::backend::refusal(&refused);
    assert_eq!(said, "certificate is for web.internal, not other.internal");
    let impostor = World::new(&[]).with(&self_signed("web.internal"), "backend");
    let tls = impostor.server(&listener(&[("backend", None)]), None);
    let choice = tls.server(0).expect("TLS").choose(None);
    meet(&client.config, &choice.config, "web.internal").map(drop).expect_err("it is another one");
}

#[test]
fn certificates_of_our_own_are_good() {
    let names: Vec<String> = ["localhost", "*.shop.example", "127.0.0.1", "::1"].map(str::to_owned).into();
    let minted = mint(&names, None, None).expect("minted");
    let again = mint(&names, Some((&minted.authority, &minted.authority_key)), None).expect("again");
    assert_eq!(minted.authority, again.authority);
    for minted in [&minted, &again] {
        let issued = Issued { cert: minted.certificate.clone(), key: minted.key.clone() };
        let world = World::new(&[("/x/ca.pem", &minted.authority)]).with(&issued, "internal");
        let tls = world.server(&listener(&[("internal", None)]), None);
        let client = world.client(&pool());
        for name in ["localhost", "www.shop.example", "127.0.0.1", "::1"] {
            assert!(is_of(&shown(&tls, &client, name), &issued), "{name}");
        }
    }
    assert!(mint(&["no name".to_owned()], None, None).is_err());
}

#[test]
fn certificates_of_our_own_are_kept_while_they_are_good() {
    let names: Vec<String> = ["localhost", "::1"].map(str::to_owned).into();
    let first = mint(&names, None, None).expect("minted");
    let authority = Some((&*first.authority, &*first.authority_key));
    let kept = Some((&*first.certificate, &*first.key));
    assert_eq!(mint(&names, authority, kept).expect("kept").certificate, first.certificate);
    assert_eq!(mint(&names[..1], authority, kept).expect("kept").certificate, first.certificate);
    let more = [names.clone(), vec!["shop.example".to_owned()]].concat();
    assert_ne!(mint(&more, authority, kept).expect("another").certificate, first.certificate);
    assert_ne!(mint(&names, None, kept).expect("of a new authority").certificate, first.certificate);
    let other = mint(&names, None, None).expect("minted");
    assert_ne!(
        mint(&names, authority, Some((&other.certificate, &other.key))).expect("ours").certificate,
        other.certificate
    );
    assert!(mint(&names, Some((&first.authority, &other.authority_key)), None).is_err());
}
