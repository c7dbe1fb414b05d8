//! Opening a connection to a backend.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use plan::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::clock::Seat;
use crate::failure::Failure;
use crate::pick::Pick;
use crate::socket::Socket;
use crate::tls::handshake::{Handshake, TlsFailure};
use crate::worker::Worker;

/// Descriptors below the limit that connections to backends leave alone: /metrics and logs need some.
const SPARE_DESCRIPTORS: u64 = 16;

/// Connects, and says `header` first, without a deadline: whoever awaits this keeps one.
///
/// # Errors
/// What connect(2) says; EMFILE already when few descriptors are left.
pub(crate) async fn connect(address: Address, descriptor_limit: u64, header: &[u8]) -> io::Result<Socket> {
    let mut socket = match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Socket::Tcp(stream)
        }
        Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
    };
    // The kernel gives the lowest free number, so a high one means that few are left.
    if socket.number() as u64 + SPARE_DESCRIPTORS >= descriptor_limit {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let mut left = header;
    while !left.is_empty() {
        let sent = poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(left)])).await?;
        left = left.get(sent..).unwrap_or_default();
    }
    Ok(socket)
}

/// Begins TLS on a connection to the picked backend, if its pool wants that, within the pool's time. `poll_end` says what
/// ends the wait before. The reason in words is noted at the backend.
///
/// # Errors
/// The backend is not believed, or does not speak TLS; nothing but the handshake has been sent.
pub(crate) async fn secure(
    worker: &Worker,
    pick: &Pick,
    socket: Socket,
    seat: Seat,
    mut poll_end: impl FnMut(&mut Context<'_>) -> Option<Failure>,
) -> Result<Socket, Failure> {
    let Some((tls, name, ms)) = pick.tls() else { return Ok(socket) };
    worker.clock.expire_in(seat, ms);
    let refused = |failure: &TlsFailure| {
        pick.note_words(&failure.why);
        Failure::from(failure)
    };
    let mut handshake = Handshake::with_backend(socket, tls, name).map_err(|failure| refused(&failure))?;
    poll_fn(|cx| {
        let polled = handshake.poll(cx, &mut worker.buffers.borrow_mut().receive);
        match polled {
            Poll::Ready(result) => Poll::Ready(result.map_err(|failure| refused(&failure))),
            Poll::Pending if worker.clock.expired(seat) => Poll::Ready(Err(refused(&TlsFailure::slow(ms)))),
            Poll::Pending => poll_end(cx).map_or(Poll::Pending, |failure| Poll::Ready(Err(failure))),
        }
    })
    .await?;
    Ok(handshake.done(None, 0))
}
