//! What TLS towards the client means for a request.
//!
//! A connection belongs to the policy of the name that it was made for: what is asked of clients there. A Host of another
//! policy would get in by the wrong door, so it is for another connection (RFC 9110, 15.5.20). The same happens to a
//! connection that outlives a change of its policy.
//!
//! Headers that tell of a client's certificate are taken from every request of the listener, and written from what was
//! verified.

use wire::{FieldEdits, Heads, RouteEdits};

use super::Exchange;

impl Exchange {
    /// Whether the client's part of the way is encrypted: it ends here, or a trusted proxy says so.
    pub(super) fn came_by_https(&self) -> bool {
        self.tls.is_some() || (self.trusted && wire::forwarded::came_by_https(self.head()))
    }

    /// How the request reached us.
    pub(super) fn proto(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether the Host has another policy than the connection.
    pub(super) fn is_misdirected(&self) -> bool {
        let Some(tls) = &self.tls else { return false };
        let server = self.held.tls.server(self.listener);
        server.is_some_and(|server| server.policy_of(self.head().host()) != tls.policy)
    }

    /// What the route changes, and what the backend hears of the client's certificate; `None` where nothing is told.
    pub(super) fn certificate_edits(&self) -> Option<Box<RouteEdits>> {
        let tls = self.held.plan.listeners[self.listener as usize].tls.as_deref()?;
        tls.client_headers().next()?;
        let route = self.route().and_then(|route| route.request.as_deref());
        let mut edits = Box::new(route.cloned().unwrap_or_default());
        for name in tls.client_headers() {
            let _ = edits.fields.remove(Heads::Requests, name);
        }
        self.tell_certificate(&mut edits.fields);
        Some(edits)
    }

    fn tell_certificate(&self, fields: &mut FieldEdits) -> Option<()> {
        let tls = self.tls.as_deref()?;
        let certificate = tls.client.as_deref()?;
        let headers = self.held.tls.server(self.listener)?.client_headers(tls.policy)?;
        let told = [(&headers.subject, certificate.subject.clone()), (&headers.san, certificate.sans.join(", "))];
        for (name, value) in told {
            if let Some(name) = name {
                let _ = fields.add(Heads::Requests, name, &printable(&value));
            }
        }
        Some(())
    }
}

/// The text with everything percent-encoded that would not go into a field as it is (RFC 9110, 5.5).
fn printable(text: &str) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len());
    for byte in text.trim().bytes() {
        match byte {
            b' '..=b'~' => value.push(byte),
            _ => value.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_subject_stays_within_its_field() {
        assert_eq!(printable("CN=shop,O=Acme Ltd"), b"CN=shop,O=Acme Ltd");
        assert_eq!(printable(" CN=a\r\nx-admin: 1\0 "), b"CN=a%0D%0Ax-admin: 1%00");
        assert_eq!(printable("CN=\u{fc}"), b"CN=%C3%BC");
    }
}
