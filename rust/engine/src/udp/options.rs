//! Socket options of datagrams, where what the libraries choose suits QUIC and nobody else.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use quinn_udp::UdpSocketState;

/// Prepares a socket that clients write to: their datagrams come in runs, and with the address that they were sent to
/// if it `is_wide` and has several.
///
/// Replies may be cut into fragments on their way, as any backend's own would be; time stamps and the type of service,
/// of which nothing becomes here, would cost every datagram.
pub(super) fn prepare_door(socket: &impl AsFd, is_v6: bool, is_wide: bool) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    may_fragment(socket, is_v6);
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0);
    set(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 0);
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 0);
    }
    if !is_wide {
        let (level, option) =
            if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
        set(socket, level, option, 0);
    }
    Ok(state)
}

/// Prepares a socket towards a backend: every ICMP error is told, also that a host cannot be reached.
pub(super) fn prepare_upstream(socket: &impl AsFd, is_v6: bool) {
    may_fragment(socket, is_v6);
    let (level, option) =
        if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) } else { (libc::IPPROTO_IP, libc::IP_RECVERR) };
    set(socket, level, option, 1);
}

/// From now on the socket's datagrams may come in runs.
pub(super) fn expect_runs(socket: &impl AsFd) -> bool {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

fn may_fragment(socket: &impl AsFd, is_v6: bool) {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT);
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    }
}

/// Sets an option that is a number; whether the system knows it.
fn set(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> bool {
    let descriptor = socket.as_fd().as_raw_fd();
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value outlives the call, which reads as many bytes as it has.
    unsafe { libc::setsockopt(descriptor, level, option, (&raw const value).cast(), size) == 0 }
}
