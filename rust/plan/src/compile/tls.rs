//! TLS on both sides, as far as it can be checked without reading a certificate.

use wire::{FieldEdits, Heads};

use super::edits::keep;
use crate::draft::{AuthMode, ClientAuthDraft, ClientHeadersDraft, MinVersion, PairDraft, PoolTlsDraft, TlsDraft};
use crate::error::{At, Errors};
use crate::tls::{CertificatePlan, ClientAuth, ClientHeaders, Pair, PoolTls, TlsPlan, TlsVersion};

/// TLS that a listener terminates.
pub(super) fn tls(at: &At<'_>, draft: &TlsDraft, errors: &mut Errors) -> TlsPlan {
    let all = at.key("certificates");
    if draft.certificates.is_empty() {
        errors.add(&all, "is empty; write at least one, as in `certificates: [{cert: shop.pem, key: shop.key}]`");
    }
    let mut certificates = Vec::with_capacity(draft.certificates.len());
    for (index, draft) in draft.certificates.iter().enumerate() {
        let at = all.index(index);
        certificates.push(CertificatePlan {
            files: pair(&at, &draft.cert, &draft.key, errors),
            client_auth: client_auth(&at, draft.client_auth.as_ref(), errors),
        });
    }
    let min_version = match draft.min_version {
        MinVersion::Tls12 => TlsVersion::Tls12,
        MinVersion::Tls13 => TlsVersion::Tls13,
    };
    TlsPlan { certificates, min_version, client_auth: client_auth(at, draft.client_auth.as_ref(), errors) }
}

/// TLS to the backends of a pool.
pub(super) fn pool_tls(at: &At<'_>, draft: &PoolTlsDraft, errors: &mut Errors) -> PoolTls {
    let PoolTlsDraft { ca, certificate, verify } = draft;
    let pair = certificate.as_ref().map(|PairDraft { cert, key }| pair(at, cert, key, errors));
    PoolTls { ca: ca.as_ref().map(|ca| file(&at.key("ca"), ca, errors)), certificate: pair, verify: *verify }
}

fn pair(at: &At<'_>, cert: &str, key: &str, errors: &mut Errors) -> Pair {
    Pair { cert: file(&at.key("cert"), cert, errors), key: file(&at.key("key"), key, errors) }
}

fn file(at: &At<'_>, path: &str, errors: &mut Errors) -> Box<str> {
    if !path.starts_with('/') || path.contains('\0') {
        errors.add(at, format!("`{}` is not the absolute path of a file", path.escape_debug()));
    }
    path.into()
}

fn client_auth(at: &At<'_>, draft: Option<&ClientAuthDraft>, errors: &mut Errors) -> Option<ClientAuth> {
    let ClientAuthDraft { mode, ca, headers } = draft?;
    let at = at.key("client_auth");
    let place = at.key("ca");
    let ca = match (mode, ca) {
        (AuthMode::None, _) => Box::default(),
        (_, Some(ca)) => file(&place, ca, errors),
        (_, None) => {
            errors.add(&place, "is missing; write the file of the authorities that clients' certificates come from");
            Box::default()
        }
    };
    let headers = client_headers(&at.key("headers"), headers, errors);
    Some(match mode {
        AuthMode::None => ClientAuth::None { headers },
        AuthMode::Optional => ClientAuth::Ask { required: false, ca, headers },
        AuthMode::Require => ClientAuth::Ask { required: true, ca, headers },
    })
}

fn client_headers(at: &At<'_>, draft: &ClientHeadersDraft, errors: &mut Errors) -> ClientHeaders {
    let ClientHeadersDraft { subject, san } = draft;
    let headers = ClientHeaders {
        subject: subject.as_ref().map(|name| header(&at.key("subject"), name, errors)),
        san: san.as_ref().map(|name| header(&at.key("san"), name, errors)),
    };
    if headers.subject.is_some() && headers.subject == headers.san {
        errors.add(&at.key("san"), "is the header of `subject` already; give each its own");
    }
    headers
}

/// The name of a header that pylb may set, in lower case.
fn header(at: &At<'_>, name: &str, errors: &mut Errors) -> Box<[u8]> {
    keep(at, name, FieldEdits::default().set(Heads::Requests, name.as_bytes(), b""), errors);
    name.to_ascii_lowercase().into_bytes().into()
}
