//! Replies on their way to clients, many in one system call.
//!
//! What backends say is read straight into the outbox and leaves by the door's socket when the round is over or the
//! box full: sendmmsg(2) takes datagrams to different clients at once. A run of datagrams that came in one piece (GRO)
//! leaves in one piece (GSO), by itself. Where a door has many addresses, a reply names the one that its client wrote
//! to, or the client would not know it for a reply.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::Arc;

use quinn_udp::{Transmit, UdpSocketState};
use socket2::SockAddr;

use super::table::Key;
use crate::fork::ListeningSocket;

/// Replies sent by one call.
const MOST: usize = 64;
/// No datagram is larger, and no run of them.
pub(super) const LARGEST: usize = 64 * 1024;
/// Only what is written to is ever touched.
const ROOM: usize = 4 * LARGEST;
/// Room for one control message with the larger kind of address.
const CONTROL: usize = 64;

/// A door's socket, and what the system can do with it.
pub(super) struct Way {
    pub socket: Arc<ListeningSocket>,
    pub state: UdpSocketState,
}

/// Replies that have not left yet, all by one way.
pub(super) struct Outbox {
    bytes: Box<[u8]>,
    used: usize,
    replies: Vec<Reply>,
    calls: Calls,
}

struct Reply {
    to: SockAddr,
    from: Option<IpAddr>,
    at: usize,
    length: usize,
}

/// Room for what the system reads, in the three places that it wants it in.
struct Calls {
    messages: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    controls: Vec<Control>,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox {
            bytes: vec![0; ROOM].into(),
            used: 0,
            replies: Vec::with_capacity(MOST),
            calls: Calls {
                messages: Vec::with_capacity(MOST),
                parts: Vec::with_capacity(MOST),
                controls: Vec::with_capacity(MOST),
            },
        }
    }

    /// Room for the largest datagram; what is in its way is sent first.
    pub(super) fn room(&mut self, way: &Way) -> &mut [u8] {
        if self.replies.len() == MOST || self.used + LARGEST > ROOM {
            self.send(way);
        }
        &mut self.bytes[self.used..self.used + LARGEST]
    }

    /// What was written into the room is for this client: datagrams of `stride` bytes, of which the last may be shorter.
    pub(super) fn push(&mut self, way: &Way, key: &Key, length: usize, stride: usize) {
        let at = self.used;
        if length > stride {
            self.send(way);
            let run = &self.bytes[at..at + length];
            // A datagram that the system does not take is lost, as datagrams are.
            let _ = send_run(&way.state, &way.socket, (key.client, key.local), run, stride);
            return;
        }
        self.replies.push(Reply { to: key.client.into(), from: key.local, at, length });
        self.used += length;
    }

    /// Sends all that there is.
    pub(super) fn send(&mut self, way: &Way) {
        let mut sent = 0;
        while sent < self.replies.len() {
            // Nothing sent means that the first one cannot be: the others may.
            sent += self.calls.send(&way.socket, &self.replies[sent..], &self.bytes).max(1);
        }
        self.replies.clear();
        self.used = 0;
    }
}

impl Calls {
    /// Sends replies, the first ones, and says how many.
    fn send(&mut self, socket: &ListeningSocket, replies: &[Reply], bytes: &[u8]) -> usize {
        self.messages.clear();
        self.parts.clear();
        self.controls.clear();
        for reply in replies.iter().take(MOST) {
            let from = bytes[reply.at..reply.at + reply.length].as_ptr();
            self.parts.push(libc::iovec { iov_base: from.cast_mut().cast(), iov_len: reply.length });
            self.controls.push(Control([0; CONTROL]));
        }
        for ((reply, part), control) in replies.iter().zip(&mut self.parts).zip(&mut self.controls) {
            // SAFETY: all of a msghdr are numbers and pointers, which may be zero.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_name = reply.to.as_ptr().cast_mut().cast();
            message.msg_namelen = reply.to.len();
            message.msg_iov = ptr::from_mut(part);
            message.msg_iovlen = 1;
            if let Some(from) = reply.from {
                control.name_source(from, &mut message);
            }
            self.messages.push(libc::mmsghdr { msg_hdr: message, msg_len: 0 });
        }
        let count = self.messages.len() as libc::c_uint;
        // SAFETY: the headers point to addresses, bytes and control messages that outlive the call, which only reads
        // them; nothing above was moved since its address was taken.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).unwrap_or(0)
    }
}

impl Control {
    /// Says where a datagram comes from (ip(7), ipv6(7)).
    fn name_source(&mut self, from: IpAddr, message: &mut libc::msghdr) {
        match from {
            IpAddr::V4(from) => {
                let source = libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let none = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: none };
                self.write(libc::IPPROTO_IP, libc::IP_PKTINFO, info, message);
            }
            IpAddr::V6(from) => {
                let source = libc::in6_addr { s6_addr: from.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: source, ipi6_ifindex: 0 };
                self.write(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info, message);
            }
        }
    }

    fn write<T>(&mut self, level: libc::c_int, kind: libc::c_int, info: T, message: &mut libc::msghdr) {
        let size = size_of::<T>() as libc::c_uint;
        message.msg_control = self.0.as_mut_ptr().cast();
        // SAFETY: the macros compute sizes and addresses; the room is aligned for a header and larger than one with
        // the largest content that comes here, which the assertion holds.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            assert!(message.msg_controllen <= CONTROL);
            let header = libc::CMSG_FIRSTHDR(message);
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(info);
        }
    }
}

/// Sends datagrams of `stride` bytes, of which the last may be shorter, to one address (from one of ours, if it has to
/// be named): in as few calls as the system can.
pub(super) fn send_run(
    state: &UdpSocketState,
    socket: &impl AsFd,
    (to, from): (SocketAddr, Option<IpAddr>),
    run: &[u8],
    stride: usize,
) -> std::io::Result<()> {
    let mut rest = run;
    while !rest.is_empty() {
        // A failure may have taught it that the system cannot send runs; then the limit is 1.
        let most = stride.saturating_mul(state.max_gso_segments().max(1)).min(LARGEST - 1024);
        let (part, behind) = rest.split_at(rest.len().min(most / stride * stride).max(stride.min(rest.len())));
        let segment_size = (part.len() > stride).then_some(stride);
        let transmit = Transmit { destination: to, ecn: None, contents: part, segment_size, src_ip: from };
        match state.try_send(socket.into(), &transmit) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && segment_size.is_some() => {}
            Err(error) => return Err(error),
            Ok(()) => rest = behind,
        }
    }
    Ok(())
}
