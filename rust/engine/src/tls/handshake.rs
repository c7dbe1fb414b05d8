//! Beginning TLS on a connection, in either role.
//!
//! A client's first message is read as a whole before a session exists: it says which certificate and which policy are
//! wanted, a client that never ends it costs no more than its bytes, and what is no TLS is seen at its first byte. Then
//! the connection waits for its turn (`budget.rs`), and the rest is rustls's.
//!
//! A handshake that fails is told twice: to the peer by an alert, to us in words.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use wire::client_hello::{self, Hello};

use super::server::{Choice, ServerTls};
use super::session::Session;
use super::stream::Stream;
use super::{ClientTls, backend, client_auth};
use crate::clock::Seat;
use crate::socket::Socket;
use crate::worker::Worker;

/// What a client is told that speaks HTTP where TLS is spoken.
const CLEAR_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
content-length: 40\r\nconnection: close\r\n\r\nThis port speaks TLS: ask for https://.\n";

/// Why there is no TLS on a connection.
#[derive(Debug)]
pub(crate) struct TlsFailure {
    pub fault: Fault,
    /// In words.
    pub why: Cow<'static, str>,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The other side left, or never said a word.
    Gone,
    /// It took too long.
    Slow,
    /// Its certificate is not believed.
    Certificate,
    /// It speaks something else, or badly, or found nothing in common.
    Protocol,
    /// pylb ends.
    Stopped,
}

/// How long a handshake may take.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Woken at the end of it.
    pub seat: Seat,
    /// Milliseconds.
    pub ms: u32,
}

/// A client that is about to speak TLS.
pub(crate) struct Knock {
    pub socket: Socket,
    /// What was read of it already.
    pub early: Vec<u8>,
}

/// Ends TLS of a client: what is returned speaks plaintext.
///
/// # Errors
/// Why not; the client has got an alert, or an answer where it spoke HTTP.
pub(crate) async fn accept(
    worker: &Worker,
    knock: Knock,
    tls: &ServerTls,
    patience: Patience,
) -> Result<Socket, TlsFailure> {
    worker.clock.expire_in(patience.seat, patience.ms);
    let Knock { mut socket, early: mut hello } = knock;
    let sni = read_hello(worker, &mut socket, &mut hello, patience).await?;
    let mut turn = pin!(worker.handshakes.turn());
    let turn = poll_fn(|cx| guard(worker, patience, turn.as_mut().poll(cx).map(Ok))).await?;
    let Choice { config, policy } = tls.choose(sni.as_deref());
    let session = Session::server(Arc::clone(config)).map_err(|error| TlsFailure::of_client(&error))?;
    let mut handshake =
        Handshake { stream: Box::new(Stream::new(socket, session, hello)), refusal: TlsFailure::of_client };
    let first = poll_fn(|cx| Poll::Ready(handshake.poll(cx, &mut worker.buffers.borrow_mut().receive))).await;
    drop(turn);
    match first {
        Poll::Ready(result) => result?,
        Poll::Pending => handshake.wait(worker, patience).await?,
    }
    Ok(handshake.done(sni, *policy))
}

/// A handshake under way.
pub(crate) struct Handshake {
    stream: Box<Stream>,
    refusal: fn(&rustls::Error) -> TlsFailure,
}

impl Handshake {
    /// The client's role.
    pub(crate) fn with_backend(socket: Socket, tls: &ClientTls, name: &str) -> Result<Self, TlsFailure> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsFailure::protocol(format!("`{name}` is no name for a certificate")))?;
        let session = Session::client(Arc::clone(&tls.config), name).map_err(|error| TlsFailure::of_backend(&error))?;
        Ok(Handshake { stream: Box::new(Stream::new(socket, session, Vec::new())), refusal: TlsFailure::of_backend })
    }

    /// Ready when it is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<(), TlsFailure>> {
        loop {
            match ready!(self.stream.poll_handshake(cx, buffer)) {
                Ok(Ok(true)) => return Poll::Ready(Ok(())),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => return Poll::Ready(Err((self.refusal)(&error))),
                Err(error) => return Poll::Ready(Err(TlsFailure::of_socket(&error))),
            }
        }
    }

    /// The connection, once it is over.
    pub(crate) fn done(mut self, sni: Option<Box<str>>, policy: u32) -> Socket {
        self.stream.settle(sni, policy);
        Socket::Tls(self.stream)
    }

    async fn wait(&mut self, worker: &Worker, patience: Patience) -> Result<(), TlsFailure> {
        poll_fn(|cx| {
            let polled = self.poll(cx, &mut worker.buffers.borrow_mut().receive);
            guard(worker, patience, polled)
        })
        .await
    }
}

/// Reads the whole first message; the name in it, in lower case.
async fn read_hello(
    worker: &Worker,
    socket: &mut Socket,
    hello: &mut Vec<u8>,
    patience: Patience,
) -> Result<Option<Box<str>>, TlsFailure> {
    poll_fn(|cx| {
        loop {
            match client_hello::read(hello) {
                Hello::Done(read) => {
                    let name = read.sni().and_then(|name| std::str::from_utf8(name).ok());
                    return Poll::Ready(Ok(name.map(|name| name.to_ascii_lowercase().into())));
                }
                Hello::Bad(why) => {
                    if hello.first().is_some_and(u8::is_ascii_uppercase) {
                        let _ = socket.poll_write(cx, &[IoSlice::new(CLEAR_HTTP)]);
                    }
                    return Poll::Ready(Err(TlsFailure::protocol(why)));
                }
                Hello::More => {}
            }
            let receive = &mut worker.buffers.borrow_mut().receive;
            match guard(worker, patience, socket.poll_read(cx, receive).map(Ok)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Ready(Ok(Ok(count @ 1..))) => hello.extend_from_slice(&receive[..count]),
                Poll::Ready(Ok(_)) => return Poll::Ready(Err(TlsFailure::gone())),
            }
        }
    })
    .await
}

/// Ends a wait that is too long, or that the end of the worker overtakes.
fn guard<T>(worker: &Worker, patience: Patience, polled: Poll<Result<T, TlsFailure>>) -> Poll<Result<T, TlsFailure>> {
    match polled {
        Poll::Pending if worker.is_stopping() => Poll::Ready(Err(TlsFailure::stopped())),
        Poll::Pending if worker.clock.expired(patience.seat) => Poll::Ready(Err(TlsFailure::slow(patience.ms))),
        other => other,
    }
}

impl TlsFailure {
    /// For whoever keeps the time of a handshake itself.
    pub(crate) fn slow(ms: u32) -> Self {
        let time = if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") };
        TlsFailure { fault: Fault::Slow, why: format!("handshake took longer than {time}").into() }
    }

    fn protocol(why: impl Into<Cow<'static, str>>) -> Self {
        TlsFailure { fault: Fault::Protocol, why: why.into() }
    }

    fn gone() -> Self {
        TlsFailure { fault: Fault::Gone, why: "left in the handshake".into() }
    }

    fn stopped() -> Self {
        TlsFailure { fault: Fault::Stopped, why: "stopped".into() }
    }

    fn of_socket(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WriteZero | io::ErrorKind::InvalidData => TlsFailure::protocol(error.to_string()),
            _ => TlsFailure::gone(),
        }
    }

    fn of_client(error: &rustls::Error) -> Self {
        let is_certificate =
            matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented);
        let fault = if is_certificate { Fault::Certificate } else { Fault::Protocol };
        TlsFailure { fault, why: client_auth::refusal(error) }
    }

    fn of_backend(error: &rustls::Error) -> Self {
        let fault = if backend::is_about_certificates(error) { Fault::Certificate } else { Fault::Protocol };
        TlsFailure { fault, why: backend::refusal(error) }
    }
}
