//! Many keep-alive clients that have asked once and then say nothing: what an idle connection costs a proxy.
//!
//! Connections are opened and used one after the other, so that the proxy needs one upstream connection for all of
//! them and its memory afterwards is that of idle clients alone. Prints `holding N` and holds them until stdin ends, then
//! `held N`: those that the proxy has not closed meanwhile, for only these were weighed. Over TLS, the tickets that the
//! proxy sends have come before the answer, so nothing is under way any more.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use memchr::memmem;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::poller::loopback;
use crate::tls;

/// What every client asks for.
pub const REQUEST: &[u8] = b"GET /64 HTTP/1.1\r\nHost: bench.example\r\n\r\n";

/// Opens `count` connections to `port`, over TLS or not, and holds them until stdin is closed.
pub fn run(port: u16, count: usize, over_tls: bool) -> io::Result<()> {
    let config = over_tls.then(|| tls::client(false));
    let mut held = Vec::with_capacity(count);
    for number in 1..=count {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("connection {number} of {count}: {error}"));
        held.push(used_once(port, config.as_ref()).map_err(name)?);
    }
    println!("holding {count}");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    println!("held {}", held.iter().filter(|client| is_quiet(client.socket())).count());
    Ok(())
}

enum Client {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    fn socket(&self) -> &TcpStream {
        match self {
            Client::Clear(socket) => socket,
            Client::Tls(stream) => &stream.sock,
        }
    }
}

/// Nothing has come: no end, and no notice of one.
fn is_quiet(socket: &TcpStream) -> bool {
    let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    socket.set_nonblocking(true).is_ok() && socket.peek(&mut [0]).as_ref().is_err_and(nothing)
}

fn used_once(port: u16, config: Option<&Arc<ClientConfig>>) -> io::Result<Client> {
    let stream = TcpStream::connect(loopback(port))?;
    let Some(config) = config else {
        return ask(stream).map(Client::Clear);
    };
    stream.set_nodelay(true)?;
    let tls = ClientConnection::new(Arc::clone(config), tls::server_name()).map_err(io::Error::other)?;
    ask(Box::new(StreamOwned::new(tls, stream))).map(Client::Tls)
}

fn ask<S: Read + Write>(mut stream: S) -> io::Result<S> {
    stream.write_all(REQUEST)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 2048]);
    while !is_whole(&answer) {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") { Ok(stream) } else { Err(io::Error::other("the answer is not a 200")) }
}

/// The head and the 64 bytes behind it are there. Errors of proxies have other lengths and end by closing or a timeout.
pub fn is_whole(answer: &[u8]) -> bool {
    memmem::find(answer, b"\r\n\r\n").is_some_and(|end| answer.len() >= end + 4 + 64)
}
