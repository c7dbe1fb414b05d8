//! Listening sockets: opening them so that a port in use is an error, and accepting on them.
//!
//! Each worker has a socket of its own per TCP or UDP bind (`SO_REUSEPORT`), so the kernel spreads connections and no
//! lock is shared. A bind without that option comes first and fails if anybody else holds the port; with it
//! alone, two programs of one user would share the port in silence. UNIX sockets and inherited descriptors
//! are duplicated to all workers instead. The kernel's hash is blind to load, so a worker that has clearly
//! more connections than a sibling hands a fresh one over before it is registered anywhere.
//!
//! When descriptors or client places run out, accepting pauses and the longest idle client makes room; the
//! kernel's queue holds what comes meanwhile. No error of accept(2) ends the loop.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use plan::Bind;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::io::unix::AsyncFd;

use crate::fork::ListeningSocket;
use crate::observe::facts::Fact;
use crate::shared::Command;
use crate::worker::Worker;

/// Connections the kernel queues per socket; it caps this at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// Connections accepted in one go before other tasks get their turn.
const BATCH: usize = 64;
/// Bytes of datagrams that the kernel keeps per socket while a worker is busy; without a privilege it gives less.
const DATAGRAM_ROOM: usize = 4 * 1024 * 1024;
/// Descriptors below the limit at which accepting stops, so that backends, logs and /metrics still get theirs.
pub(crate) const SPARE_DESCRIPTORS: u64 = 32;

/// What a door takes: streams of a kind, or datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Unix,
    Udp,
}

/// A bind that is open: one socket per worker, and the file that names it, if any.
pub(crate) struct Opened {
    pub bind: Bind,
    pub sockets: Vec<Arc<ListeningSocket>>,
    pub kind: Kind,
    pub file: Option<SocketFile>,
}

/// Opens a bind for `workers` workers. Without `probe` the port may be shared with sockets of our own that are about to
/// be retired.
///
/// # Errors
/// What the system says; nothing stays open then.
pub(crate) fn open(bind: &Bind, workers: usize, probe: bool) -> io::Result<Opened> {
    let (sockets, kind, file) = match bind {
        Bind::Tcp { address, only_v6 } => (open_tcp(*address, *only_v6, workers, probe)?, Kind::Tcp, None),
        Bind::Udp { address, only_v6 } => (open_udp(*address, *only_v6, workers, probe)?, Kind::Udp, None),
        Bind::Unix(path) => {
            let (socket, file) = open_unix(path)?;
            (duplicate(socket, workers)?, Kind::Unix, Some(file))
        }
        Bind::Fd(number) => {
            let (socket, kind) = inherit(*number)?;
            (duplicate(socket, workers)?, kind, None)
        }
    };
    Ok(Opened { bind: bind.clone(), sockets, kind, file })
}

fn open_tcp(address: SocketAddr, only_v6: bool, workers: usize, probe: bool) -> io::Result<Vec<Arc<ListeningSocket>>> {
    let chosen = if probe { probe_tcp(address, only_v6)? } else { address };
    (0..workers)
        .map(|_| {
            let socket = tcp_socket(chosen, only_v6)?;
            socket.set_reuse_port(true)?;
            socket.set_tcp_nodelay(true)?; // inherited by every connection accepted
            socket.bind(&chosen.into())?;
            socket.listen(BACKLOG)?;
            Ok(Arc::new(ListeningSocket::new(socket.into())))
        })
        .collect()
}

/// Fails if anybody holds the port. With port 0 it decides the port that the group then shares.
fn probe_tcp(address: SocketAddr, only_v6: bool) -> io::Result<SocketAddr> {
    let probe = tcp_socket(address, only_v6)?;
    probe.bind(&address.into())?;
    Ok(probe.local_addr()?.as_socket().unwrap_or(address))
}

/// The same for datagrams.
fn open_udp(address: SocketAddr, only_v6: bool, workers: usize, probe: bool) -> io::Result<Vec<Arc<ListeningSocket>>> {
    let bound = |address: SocketAddr, shared: bool| {
        let kind = Type::DGRAM.nonblocking();
        let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(only_v6)?;
        }
        socket.set_reuse_port(shared)?;
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, DATAGRAM_ROOM).is_err() {
            socket.set_recv_buffer_size(DATAGRAM_ROOM)?;
        }
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(socket)
    };
    let chosen = if probe { bound(address, false)?.local_addr()?.as_socket().unwrap_or(address) } else { address };
    (0..workers).map(|_| Ok(Arc::new(ListeningSocket::new(bound(chosen, true)?.into())))).collect()
}

fn tcp_socket(address: SocketAddr, only_v6: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// A socket that nobody listens on is left over from a crash and replaced; any other file is in the way.
fn open_unix(path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let address = SockAddr::unix(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    if let Err(error) = socket.bind(&address) {
        let left_over = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if error.kind() != io::ErrorKind::AddrInUse || !left_over || is_alive(&address) {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    let file = SocketFile::at(path)?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// The file of a UNIX socket of ours; dropping it removes the file, unless another program has put its own there.
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let file = std::fs::symlink_metadata(path)?;
        Ok(SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: std::fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if std::fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether somebody listens there; one whose queue is full does, and is not waited for.
fn is_alive(address: &SockAddr) -> bool {
    let probe = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None);
    match probe.and_then(|probe| probe.connect(address)) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// A listening socket that whoever started the process left open under this number.
fn inherit(number: i32) -> io::Result<(OwnedFd, Kind)> {
    // SAFETY: the number is only borrowed to duplicate it; an invalid one makes dup fail with EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let socket = socket2::Socket::from(rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?);
    let kind = if socket.local_addr()?.is_unix() { Kind::Unix } else { Kind::Tcp };
    socket.set_nonblocking(true)?;
    Ok((socket.into(), kind))
}

fn duplicate(socket: OwnedFd, workers: usize) -> io::Result<Vec<Arc<ListeningSocket>>> {
    (0..workers).map(|_| Ok(Arc::new(ListeningSocket::new(socket.try_clone()?)))).collect()
}

/// Whether only the spare descriptors are left: the kernel gives the lowest free number, so a high one says so.
fn is_short(limit: u64) -> bool {
    let next = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC);
    next.map_or(true, |next| next.as_raw_fd() as u64 + SPARE_DESCRIPTORS >= limit)
}

/// Watches a listening socket for knocks.
///
/// # Errors
/// The runtime's poll instance does not take it.
pub(crate) fn register(socket: Arc<ListeningSocket>) -> io::Result<AsyncFd<Arc<ListeningSocket>>> {
    // SAFETY: the descriptor is owned by the value handed over, which is never replaced while it is registered.
    unsafe { AsyncFd::register(socket) }.map_err(Into::into)
}

/// One worker's socket of one bind.
pub(crate) struct Door {
    pub id: u32,
    pub kind: Kind,
    socket: AsyncFd<Arc<ListeningSocket>>,
}

/// A worker's doors, and why none of them opens at the moment.
#[derive(Default)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    /// Coarse time until which nothing is accepted.
    paused_until_ms: Cell<u64>,
    /// Descriptors ran out; before the next client comes in, one is tried.
    short: Cell<bool>,
}

enum Accepted {
    Client(OwnedFd, IpAddr),
    Nobody,
    Again,
    Exhausted,
}

impl Doors {
    pub(crate) fn add(&mut self, id: u32, socket: Arc<ListeningSocket>, kind: Kind) -> io::Result<()> {
        self.doors.push(Door { id, kind, socket: register(socket)? });
        Ok(())
    }

    /// Takes a door away, after everyone who already stands in front of it has come in.
    pub(crate) fn retire(&mut self, id: u32, worker: &Rc<Worker>) {
        for door in self.doors.extract_if(.., |door| door.id == id) {
            door.empty(worker);
        }
    }

    pub(crate) fn retire_all(&mut self, worker: &Rc<Worker>) {
        for door in self.doors.drain(..) {
            door.empty(worker);
        }
    }

    /// Accepts whatever waits. Never ready: it is polled again when somebody knocks or time has passed.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<()> {
        if worker.clock.coarse_ms() < self.paused_until_ms.get() {
            return Poll::Pending;
        }
        if self.short.get() && is_short(worker.descriptor_limit) {
            self.pause(worker, "descriptors used up", 100);
            return Poll::Pending;
        }
        self.short.set(false);
        for door in &self.doors {
            while let Poll::Ready(Ok(mut ready)) = door.socket.poll_read_ready(cx) {
                if worker.shared.is_full() {
                    if door.has_visitor() {
                        self.pause(worker, "max_clients reached", 0);
                        return Poll::Pending;
                    }
                    ready.clear_ready();
                    continue;
                }
                match door.accept_batch(worker) {
                    Accepted::Nobody => ready.clear_ready(),
                    Accepted::Exhausted => {
                        self.short.set(true);
                        self.pause(worker, "descriptors used up", 100);
                        return Poll::Pending;
                    }
                    Accepted::Again | Accepted::Client(..) => {
                        cx.waker().wake_by_ref();
                        break;
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Stops accepting for `ms` (at least until the next tick, which polls again) and makes room.
    fn pause(&self, worker: &Worker, why: &'static str, ms: u64) {
        if self.paused_until_ms.get() == 0 {
            worker.shared.facts.push(Fact::AcceptPaused { why });
        }
        self.paused_until_ms.set(worker.clock.coarse_ms() + ms.max(1));
        if !worker.evict() {
            worker.ask_a_sibling_to_evict();
        }
    }

    /// Called at every tick: a pause that is over may be reported again.
    pub(crate) fn tick(&self, worker: &Worker) {
        if self.paused_until_ms.get() != 0 && worker.clock.coarse_ms() >= self.paused_until_ms.get() + 1_000 {
            self.paused_until_ms.set(0);
        }
    }
}

impl Door {
    fn accept_batch(&self, worker: &Rc<Worker>) -> Accepted {
        for _ in 0..BATCH {
            match self.accept() {
                Accepted::Client(socket, peer) => {
                    // The kernel gives the lowest free number, so a high one means that few are left.
                    let last = socket.as_raw_fd() as u64 + SPARE_DESCRIPTORS >= worker.descriptor_limit;
                    self.place(worker, socket, peer);
                    if last {
                        return Accepted::Exhausted;
                    }
                }
                other => return other,
            }
            if worker.shared.is_full() {
                break;
            }
        }
        Accepted::Again
    }

    /// Serves the client here, or lets a sibling do so that has clearly fewer.
    fn place(&self, worker: &Rc<Worker>, socket: OwnedFd, peer: IpAddr) {
        match worker.less_busy_sibling() {
            Some(sibling) => {
                worker.meter().handed_over.add(1);
                let command = Command::Serve { socket, kind: self.kind, peer, door: self.id };
                let _ = worker.shared.workers[sibling].send(command);
            }
            None => worker.serve(socket, self.kind, peer, self.id),
        }
    }

    fn accept(&self) -> Accepted {
        match rustix::net::acceptfrom_with(&**self.socket.get_ref(), SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((socket, address)) => {
                let address = address.and_then(|any| SocketAddr::try_from(any).ok());
                Accepted::Client(
                    socket,
                    address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip().to_canonical()),
                )
            }
            Err(rustix::io::Errno::AGAIN) => Accepted::Nobody,
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::NOMEM) => Accepted::Exhausted,
            Err(_) => Accepted::Again, // the client was gone before we came
        }
    }

    /// Whether somebody waits to be accepted. A system call, for the moments when accepting is not an option.
    fn has_visitor(&self) -> bool {
        let socket = &**self.socket.get_ref();
        let mut asked = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut asked, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
            .is_ok_and(|ready| ready > 0)
    }

    /// Accepts until the queue is empty: closing a socket resets whoever still waits in it.
    fn empty(&self, worker: &Rc<Worker>) {
        loop {
            match self.accept() {
                Accepted::Client(socket, peer) => worker.serve(socket, self.kind, peer, self.id),
                Accepted::Again => {}
                Accepted::Nobody | Accepted::Exhausted => return,
            }
        }
    }
}
