//! A flow's socket towards its backend: how it is made, and what its errors mean.
//!
//! Its errors are of three kinds. Some say that the backend cannot be reached, some that descriptors or ports are used
//! up, and all others that a datagram is lost, as happens on any way.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use plan::{Address, Tick};
use quinn_udp::RecvMeta;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::flow::Call;
use super::options;
use super::outbox::{Way, send_run};
use crate::listen::SPARE_DESCRIPTORS;
use crate::pick::Stay;

/// The way to the backend.
pub(super) struct Upstream {
    pub socket: OwnedFd,
    address: SocketAddr,
    pub stay: Stay,
    /// When it was chosen.
    pub since: Tick,
    pub has_replied: bool,
    /// Its datagrams may come in runs.
    in_runs: bool,
}

impl Upstream {
    /// On a socket that [`open`] has made.
    pub(super) fn new((socket, address): (OwnedFd, SocketAddr), stay: Stay, since: Tick) -> Self {
        Upstream { socket, address, stay, since, has_replied: false, in_runs: false }
    }

    /// Sends what a client said.
    pub(super) fn send(&self, way: &Way, call: &Call<'_>) -> io::Result<()> {
        if call.run.len() > call.stride {
            return send_run(&way.state, &self.socket, (self.address, None), call.run, call.stride);
        }
        rustix::net::send(&self.socket, call.run, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Reads a run of datagrams: its length, and that of each but the last.
    pub(super) fn receive(&self, way: &Way, room: &mut [u8]) -> io::Result<(usize, usize)> {
        if !self.in_runs {
            let (length, _) = rustix::net::recv(&self.socket, room, RecvFlags::DONTWAIT)?;
            return Ok((length, length));
        }
        let mut met = [RecvMeta::default()];
        way.state.recv((&self.socket).into(), &mut [io::IoSliceMut::new(room)], &mut met)?;
        Ok((met[0].len, met[0].stride))
    }

    /// From now on datagrams may come in runs.
    pub(super) fn expect_runs(&mut self) {
        self.in_runs = self.in_runs || options::expect_runs(&self.socket);
    }

    /// Takes an error that says nothing about the backend (a datagram that is too long for it) off the socket's queue. As
    /// long as one lies there, the socket is ready.
    pub(super) fn forget_error(&self) {
        let _ = rustix::net::recv(&self.socket, &mut [0u8; 1], RecvFlags::ERRQUEUE | RecvFlags::DONTWAIT);
    }
}

/// What an error of a backend's socket means.
pub(super) enum Trouble {
    /// A datagram is lost, as happens on any way.
    Lost,
    /// The backend cannot be reached.
    Backend(&'static str),
}

impl Trouble {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::ConnectionReset => Trouble::Backend(describe(error)),
            _ => Trouble::Lost,
        }
    }
}

pub(super) fn describe(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "port unreachable",
        io::ErrorKind::HostUnreachable => "host unreachable",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => "network unreachable",
        io::ErrorKind::Unsupported => "no address for datagrams",
        _ => "cannot be sent to",
    }
}

/// A socket that speaks to nobody but the backend.
pub(super) fn open(address: &Address, limit: u64) -> io::Result<(OwnedFd, SocketAddr)> {
    let Address::Tcp(address) = address else { return Err(io::ErrorKind::Unsupported.into()) };
    let (domain, kind) = (socket2::Domain::for_address(*address), socket2::Type::DGRAM.nonblocking());
    let socket = socket2::Socket::new(domain, kind, None)?;
    // The kernel gives the lowest free number, so a high one means that few are left.
    if socket.as_raw_fd() as u64 + SPARE_DESCRIPTORS >= limit {
        return Err(Errno::MFILE.into());
    }
    options::prepare_upstream(&socket, address.is_ipv6());
    socket.connect(&(*address).into())?;
    Ok((socket.into(), *address))
}

/// Descriptors or memory are used up, or the ports that a connected socket needs one of.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    let used_up = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN, Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|number| used_up.iter().any(|errno| errno.raw_os_error() == number))
}
