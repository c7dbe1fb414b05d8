//! TLS as the engine prepares it: which files, for whom. Nothing here is a certificate yet.
//!
//! A plan holds no byte of a file. Certificates and keys cross beside the draft, and what is in them is checked where
//! they are used; a plan says which belong together and what they are for.

/// TLS that a listener terminates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    /// Chosen by the name that a client asks for; the first is for everybody else. At least one.
    pub certificates: Vec<CertificatePlan>,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// Who has to show a certificate, where the server's own says nothing else.
    pub client_auth: Option<ClientAuth>,
}

/// A certificate for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePlan {
    /// Its files.
    pub files: Pair,
    /// In place of the listener's, for the names of this certificate; also where that says
    /// [`AuthMode::None`](crate::draft::AuthMode::None).
    pub client_auth: Option<ClientAuth>,
}

/// The files of a certificate and its key: absolute paths, by which their contents are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The certificate and those that lead to its authority.
    pub cert: Box<str>,
    /// Its private key.
    pub key: Box<str>,
}

/// A version of TLS.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nobody is asked.
    None {
        /// What backends hear only of others, and of nobody here.
        headers: ClientHeaders,
    },
    /// Everybody is asked for one of these authorities.
    Ask {
        /// Nobody gets in without.
        required: bool,
        /// The file of the authorities: an absolute path.
        ca: Box<str>,
        /// What backends hear of it.
        headers: ClientHeaders,
    },
}

/// Names of headers, in lower case, that tell backends of a client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHeaders {
    /// Its subject, as RFC 4514 writes it.
    pub subject: Option<Box<[u8]>>,
    /// Its other names.
    pub san: Option<Box<[u8]>>,
}

/// TLS to the backends of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolTls {
    /// The file of the authorities that are believed; `None` is those of the system, whose content crosses under the
    /// name [`PoolTls::SYSTEM`].
    pub ca: Option<Box<str>>,
    /// What is shown to backends that ask.
    pub certificate: Option<Pair>,
    /// Certificates of backends are checked.
    pub verify: bool,
}

impl PoolTls {
    /// The name under which the authorities of the system cross.
    pub const SYSTEM: &'static str = "system";
}

impl ClientAuth {
    /// What tells backends of a client's certificate.
    pub fn headers(&self) -> &ClientHeaders {
        match self {
            ClientAuth::None { headers } | ClientAuth::Ask { headers, .. } => headers,
        }
    }
}

impl TlsPlan {
    /// Every demand on clients, that of the listener first.
    fn demands(&self) -> impl Iterator<Item = &ClientAuth> {
        let own = self.certificates.iter().filter_map(|certificate| certificate.client_auth.as_ref());
        self.client_auth.iter().chain(own)
    }

    /// Every header that tells of a client's certificate, under whichever name it came in: clients may send none of
    /// them.
    pub fn client_headers(&self) -> impl Iterator<Item = &[u8]> {
        let headers = self.demands().map(ClientAuth::headers);
        headers.flat_map(|ClientHeaders { subject, san }| [subject, san]).filter_map(Option::as_deref)
    }
}
