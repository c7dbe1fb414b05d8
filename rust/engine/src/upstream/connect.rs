//! Opening a connection to a backend.

use std::future::poll_fn;
use std::io::{self, IoSlice};

use plan::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::socket::Socket;

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
