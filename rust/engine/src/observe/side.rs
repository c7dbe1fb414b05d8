//! The side thread: writes the access log and answers `/metrics`, `/healthz` and `/readyz`.
//!
//! It is apart from the workers so that a slow sink costs nobody a request, and apart from Python so that probes are
//! answered while Python is stuck. The sink itself is written by a blocking task: a full pipe must not silence
//! the health port.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use plan::{Bind, Sink};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire::{Head, Method, Rules};

use super::facts::Fact;
use super::metrics;
use crate::end::{Buffers, Conn};
use crate::fork::ListeningSocket;
use crate::listen::{Kind, register};
use crate::shared::Shared;
use crate::socket::Socket;

/// How long a client of the metrics listener may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the sink has for the last lines when the engine stops.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How often dropped lines are reported.
const REPORT: Duration = Duration::from_secs(1);
/// Python's silence, in seconds, after which `/readyz` says so.
const STALE_S: f64 = 3.0;

/// What the side thread is told.
pub(crate) enum Order {
    /// Answer on this socket from now on.
    Listen { bind: Bind, socket: Arc<ListeningSocket>, kind: Kind },
    /// Close it.
    Retire(Bind),
    /// Write the log there from now on; a file comes opened.
    Log(Sink, Option<File>),
    /// Open the log file anew.
    Reopen,
    /// Write what is left and end.
    Stop,
}

/// Runs until told to stop. The body of the thread.
pub(crate) fn run(shared: Arc<Shared>, inbox: UnboundedReceiver<Order>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => {
            runtime.block_on(root(shared, inbox));
            runtime.shutdown_background();
        }
        Err(error) => shared.facts.push(Fact::LogFailed { why: format!("no runtime: {error}") }),
    }
}

async fn root(shared: Arc<Shared>, mut inbox: UnboundedReceiver<Order>) {
    let log = Arc::new(Mutex::new(Writer::default()));
    let ending = Rc::new(Cell::new(false));
    let writer = tokio::task::spawn_local(write_log(Arc::clone(&shared), Arc::clone(&log), Rc::clone(&ending)));
    let buffers = Rc::new(RefCell::new(Buffers::new(0)));
    let mut doors: HashMap<Bind, JoinHandle<()>> = HashMap::new();
    let mut tick = tokio::time::interval(REPORT);
    loop {
        let order = tokio::select! {
            order = inbox.recv() => order,
            _ = tick.tick() => {
                report_drops(&shared);
                continue;
            }
        };
        match order.unwrap_or(Order::Stop) {
            Order::Listen { bind, socket, kind } => {
                let door = tokio::task::spawn_local(accept(Arc::clone(&shared), Rc::clone(&buffers), socket, kind));
                doors.insert(bind, door);
            }
            Order::Retire(bind) => {
                if let Some(door) = doors.remove(&bind) {
                    door.abort();
                }
            }
            Order::Log(sink, file) => steer(&log, move |log| log.aim(sink, file)),
            Order::Reopen => {
                let shared = Arc::clone(&shared);
                steer(&log, move |log| log.reopen(&shared));
            }
            Order::Stop => break,
        }
    }
    // The writer may be in the middle of a batch: it finishes that, takes what is left, and ends.
    ending.set(true);
    shared.log.wake.notify_one();
    let _ = timeout(LAST_LINES, writer).await;
}

// ---- the log

async fn write_log(shared: Arc<Shared>, log: Arc<Mutex<Writer>>, ending: Rc<Cell<bool>>) {
    loop {
        shared.log.wake.notified().await;
        let last = ending.get();
        drain_log(&shared, &log).await;
        if last {
            return;
        }
    }
}

async fn drain_log(shared: &Arc<Shared>, log: &Arc<Mutex<Writer>>) {
    while let Some(batch) = shared.log.full.pop() {
        let writer = Arc::clone(log);
        let written = tokio::task::spawn_blocking(move || (lock(&writer).write(&batch.bytes), batch)).await;
        let Ok((result, mut batch)) = written else {
            return;
        };
        if let Some(why) = result {
            shared.facts.push(Fact::LogFailed { why });
        }
        batch.bytes.clear();
        let _ = shared.log.spare.push(batch.bytes);
    }
}

/// Tells of lines that were dropped since the last time; the sink may be stuck for good, so time asks, not a write.
fn report_drops(shared: &Shared) {
    let count = shared.log.dropped.swap(0, Ordering::Relaxed);
    if count > 0 {
        shared.log.dropped_before.fetch_add(count, Ordering::Relaxed);
        shared.facts.push(Fact::LogDropped { count });
    }
}

/// Changes the writer off this thread: it may be in the middle of a write that blocks.
fn steer(log: &Arc<Mutex<Writer>>, change: impl FnOnce(&mut Writer) + Send + 'static) {
    let log = Arc::clone(log);
    tokio::task::spawn_blocking(move || change(&mut lock(&log)));
}

fn lock(log: &Mutex<Writer>) -> std::sync::MutexGuard<'_, Writer> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a log file for appending, without waiting: a FIFO that nobody reads is an error.
///
/// # Errors
/// What the system says.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = std::fs::OpenOptions::new().append(true).create(true).custom_flags(nonblocking).open(path)?;
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

/// The sink, and whether it was reported broken already.
#[derive(Default)]
struct Writer {
    sink: Option<Sink>,
    file: Option<File>,
    reported: bool,
}

impl Writer {
    fn aim(&mut self, sink: Sink, file: Option<File>) {
        self.sink = Some(sink);
        self.file = file;
        self.reported = false;
    }

    fn reopen(&mut self, shared: &Shared) {
        self.reported = false;
        self.file = None;
        if let Some(Sink::File(path)) = &self.sink {
            match open_log(path) {
                Ok(file) => self.file = Some(file),
                Err(error) => {
                    shared.facts.push(Fact::LogFailed { why: format!("{}: {error}", path.display()) });
                    self.reported = true;
                }
            }
        }
    }

    /// Writes all; what went wrong is returned once until the sink is opened anew.
    fn write(&mut self, bytes: &[u8]) -> Option<String> {
        let result = match (&self.sink, &mut self.file) {
            (Some(Sink::File(_)), Some(file)) => file.write_all(bytes),
            (Some(Sink::Stdout), _) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            (Some(Sink::Stderr), _) => io::stderr().write_all(bytes),
            _ => Ok(()),
        };
        match result {
            Err(error) if !self.reported => {
                self.reported = true;
                Some(error.to_string())
            }
            _ => None,
        }
    }
}

// ---- the metrics listener

async fn accept(shared: Arc<Shared>, buffers: Rc<RefCell<Buffers>>, socket: Arc<ListeningSocket>, kind: Kind) {
    let Ok(listener) = register(socket) else {
        return;
    };
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    loop {
        let Ok(mut ready) = listener.readable().await else {
            return;
        };
        match rustix::net::accept_with(&**listener.get_ref(), flags) {
            Ok(client) => {
                let socket = match kind {
                    Kind::Udp => continue,
                    Kind::Tcp => TcpStream::from_std(client.into()).map(Socket::Tcp),
                    Kind::Unix => UnixStream::from_std(client.into()).map(Socket::Unix),
                };
                if let Ok(socket) = socket {
                    tokio::task::spawn_local(serve(Arc::clone(&shared), Rc::clone(&buffers), socket));
                }
            }
            Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(shared: Arc<Shared>, buffers: Rc<RefCell<Buffers>>, socket: Socket) {
    let mut conn = Conn::new(socket);
    let rules = Rules::default();
    loop {
        let next = poll_fn(|cx| conn.poll_request(cx, &mut buffers.borrow_mut(), &rules));
        let Ok(Ok(Some(head))) = timeout(PATIENCE, next).await else {
            return;
        };
        let keep_alive = head.keep_alive() && conn.has_read_all();
        let bytes = answer(&shared, &head, keep_alive);
        buffers.borrow_mut().pages.give(head.into_page());
        let sent = poll_fn(|cx| Poll::Ready(conn.offer_reply(cx, &bytes, keep_alive))).await;
        let flushed = timeout(PATIENCE, poll_fn(|cx| conn.poll_room(cx))).await;
        if sent.is_err() || !matches!(flushed, Ok(Ok(()))) || !keep_alive {
            return;
        }
    }
}

fn answer(shared: &Shared, head: &Head, keep_alive: bool) -> Vec<u8> {
    let plain = "text/plain; charset=utf-8";
    let (status, kind, body) = match (head.method(), head.path()) {
        (Method::Get | Method::Head, b"/metrics") => ("200 OK", metrics::CONTENT_TYPE, metrics::render(shared)),
        (Method::Get | Method::Head, b"/healthz") => ("200 OK", plain, "ok\n".to_owned()),
        (Method::Get | Method::Head, b"/readyz") => readiness(shared),
        (Method::Get | Method::Head, _) => {
            ("404 Not Found", plain, "Here are /metrics, /healthz and /readyz.\n".to_owned())
        }
        _ => ("405 Method Not Allowed", plain, "Use GET.\n".to_owned()),
    };
    let connection = if keep_alive { "" } else { "connection: close\r\n" };
    let length = body.len();
    let content = if head.method() == Method::Head { "" } else { &*body };
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{connection}\r\n{content}")
        .into_bytes()
}

fn readiness(shared: &Shared) -> (&'static str, &'static str, String) {
    let plain = "text/plain; charset=utf-8";
    let silence = shared.silence();
    if shared.running().is_none() {
        ("503 Service Unavailable", plain, "starting\n".to_owned())
    } else if shared.draining.load(Ordering::Relaxed) {
        ("503 Service Unavailable", plain, "draining\n".to_owned())
    } else if silence > STALE_S {
        ("200 OK", plain, format!("ready, stale: no sign of life from Python for {silence:.0} s\n"))
    } else {
        ("200 OK", plain, "ready\n".to_owned())
    }
}
