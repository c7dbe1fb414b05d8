//! Many keep-alive clients that have asked once and then say nothing: what an idle connection costs a proxy.
//!
//! Connections are opened and used one after the other, so that the proxy needs one upstream connection for all of
//! them and its memory afterwards is that of idle clients alone. Prints `holding N` and holds them until stdin ends.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use memchr::memmem;

use crate::poller::loopback;

const REQUEST: &[u8] = b"GET /64 HTTP/1.1\r\nHost: idle.example\r\n\r\n";

/// Opens `count` connections to `port` and holds them until stdin is closed.
pub fn run(port: u16, count: usize) -> io::Result<()> {
    let mut held = Vec::with_capacity(count);
    for number in 1..=count {
        let name = |error: io::Error| io::Error::new(error.kind(), format!("connection {number} of {count}: {error}"));
        held.push(used_once(port).map_err(name)?);
    }
    println!("holding {count}");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn used_once(port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(loopback(port))?;
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
fn is_whole(answer: &[u8]) -> bool {
    memmem::find(answer, b"\r\n\r\n").is_some_and(|end| answer.len() >= end + 4 + 64)
}
