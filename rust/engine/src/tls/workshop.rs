//! For tests: certificates made to measure, and handshakes in memory.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};

pub(crate) const DAY: i64 = 24 * 60 * 60;

/// Now, in seconds since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970")
}

pub(crate) struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub pem: String,
}

/// PEM of a certificate with its chain, and of its key.
#[derive(Clone)]
pub(crate) struct Issued {
    pub cert: String,
    pub key: String,
}

/// What a certificate should be.
pub(crate) struct Wish<'a> {
    pub names: &'a [&'a str],
    /// Seconds from now.
    pub from: i64,
    pub to: i64,
    pub purpose: ExtendedKeyUsagePurpose,
}

impl<'a> Wish<'a> {
    pub(crate) fn server(names: &'a [&'a str]) -> Self {
        Wish { names, from: -DAY, to: 90 * DAY, purpose: ExtendedKeyUsagePurpose::ServerAuth }
    }

    pub(crate) fn client(names: &'a [&'a str]) -> Self {
        Wish { purpose: ExtendedKeyUsagePurpose::ClientAuth, ..Wish::server(names) }
    }
}

fn moment(offset: i64) -> SystemTime {
    let seconds = i64::try_from(now().as_secs()).expect("a time") + offset;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Authority::until(name, 3650 * DAY)
    }

    pub(crate) fn until(name: &str, to: i64) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = moment(-3650 * DAY).into();
        params.not_after = moment(to).into();
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { params, key, pem }
    }

    pub(crate) fn issue(&self, wish: &Wish<'_>) -> Issued {
        let names: Vec<String> = wish.names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "a, \"certificate\"");
        params.extended_key_usages = vec![wish.purpose.clone()];
        params.not_before = moment(wish.from).into();
        params.not_after = moment(wish.to).into();
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Issued { cert: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A certificate that signs itself and claims to be an authority, as `openssl req -x509` makes it.
pub(crate) fn self_signed(name: &str) -> Issued {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    Issued { cert: params.self_signed(&key).expect("a certificate").pem(), key: key.serialize_pem() }
}

/// Both ends after a handshake.
pub(crate) struct Met {
    pub client: ClientConnection,
    pub server: ServerConnection,
}

/// A handshake, and a byte each way so that tickets arrive. The first error of either end.
pub(crate) fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<Met, Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    for round in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory takes everything");
        }
        take(&wire, |bytes| server.read_tls(bytes).map(drop));
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory takes everything");
        }
        take(&wire, |bytes| client.read_tls(bytes).map(drop));
        client.process_new_packets()?;
        if round == 4 {
            client.writer().write_all(b"?").expect("memory takes everything");
            server.writer().write_all(b"!").expect("memory takes everything");
        }
    }
    let (mut asked, mut answered) = ([0; 1], [0; 1]);
    server.reader().read_exact(&mut asked).expect("a byte");
    client.reader().read_exact(&mut answered).expect("a byte");
    Ok(Met { client, server })
}

fn take(mut wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> std::io::Result<()>) {
    while !wire.is_empty() {
        read(&mut wire).expect("memory gives everything");
    }
}
