//! Idle connections to backends, one pool per worker.
//!
//! The danger is the race: a request goes out while the backend's FIN is on its way, and nobody can say whether it was
//! processed. Four things keep that rare. The youngest connection is taken first. A connection that the runtime knows
//! to be closed is never taken. How long a backend keeps idle connections is honoured where it says so
//! (`Keep-Alive: timeout=N`) and learned where it does not (`ages.rs`). And a request that may not be sent twice gets a
//! connection younger than half of that, about which the kernel is asked in the last moment, or a new one.
//!
//! When a connection closed is known exactly only if somebody watches. Watching costs a lock per request, so it begins
//! with the first close that was earlier than expected: from then on the runtime wakes the *keeper*, a task of the
//! worker, when a connection to this backend closes.
//!
//! A burst leaves more idle connections than `idle_connections` allows. They are closed by the sweep once they
//! have been idle for a second, not at once: under steady load the same burst comes again within milliseconds.

use std::collections::HashMap;
use std::task::{Context, Waker};
use std::time::Duration;

use plan::Tick;

use super::ages::Ages;
use crate::end::Conn;

/// Idle connections beyond the limit are closed after this long.
const SURPLUS: Duration = Duration::from_secs(1);

/// The idle connections of one worker, by the identity of the backend's live state.
pub(crate) struct Pool {
    shelves: HashMap<u64, Shelf, foldhash::fast::RandomState>,
    /// Wakes whoever calls [`Pool::notice`].
    keeper: Waker,
}

struct Shelf {
    idle: Vec<Idle>,
    ages: Ages,
    limit: usize,
}

struct Idle {
    conn: Box<Conn>,
    since: Tick,
    /// What the backend or the configuration says; `None` means learned.
    keepalive: Option<Duration>,
}

/// How a connection came out of the pool.
pub(crate) enum Found {
    /// A connection to use, and how long it has been idle.
    Idle(Box<Conn>, Duration),
    /// None that is safe enough: make a new one.
    Nothing,
}

/// Terms under which a connection is kept.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// How long the backend keeps it, if known.
    pub keepalive: Option<Duration>,
    /// Connections kept idle for this backend.
    pub limit: u32,
}

impl Pool {
    /// A live connection to `backend`. `stale` counts those found closed on the way.
    pub(crate) fn take(&mut self, backend: u64, replayable: bool, now: Tick, stale: &mut u64) -> Found {
        let Some(shelf) = self.shelves.get_mut(&backend) else {
            return Found::Nothing;
        };
        while let Some(youngest) = shelf.idle.last() {
            let age = now.since(youngest.since);
            let limit = youngest.keepalive.unwrap_or(shelf.ages.limit());
            if !replayable && age >= limit / 2 {
                return Found::Nothing;
            }
            let Some(mut idle) = shelf.idle.pop() else { break };
            // What the runtime takes for news may be the rest of a read that filled the buffer: the kernel knows.
            let suspect = idle.conn.socket().has_news(Waker::noop()) || !replayable;
            let closed = suspect && idle.conn.is_disturbed(Waker::noop());
            if closed {
                *stale += 1;
                shelf.ages.closed(age, now);
            } else if age <= limit {
                return Found::Idle(idle.conn, age);
            }
        }
        Found::Nothing
    }

    /// Keeps a connection whose exchange is over.
    pub(crate) fn put(&mut self, backend: u64, conn: Box<Conn>, terms: Terms, now: Tick) {
        assert!(conn.is_clean(), "only a clean connection may carry another exchange");
        if terms.limit == 0 || terms.keepalive == Some(Duration::ZERO) {
            return;
        }
        let shelf =
            self.shelves.entry(backend).or_insert_with(|| Shelf { idle: Vec::new(), ages: Ages::new(), limit: 0 });
        shelf.limit = terms.limit as usize;
        if shelf.ages.is_suspicious() && conn.socket().has_news(&self.keeper) {
            self.keeper.wake_by_ref();
        }
        shelf.idle.push(Idle { conn, since: now, keepalive: terms.keepalive });
    }

    /// A connection of this age was closed by the backend before it answered.
    pub(crate) fn learn(&mut self, backend: u64, age: Duration, now: Tick) {
        if let Some(shelf) = self.shelves.get_mut(&backend) {
            shelf.ages.closed(age, now);
        }
    }

    /// Lets go of watched connections that have just closed; `cx` is of the task to wake for the next. Returns how
    /// many.
    pub(crate) fn notice(&mut self, cx: &Context<'_>, now: Tick) -> u64 {
        if !self.keeper.will_wake(cx.waker()) {
            self.keeper = cx.waker().clone();
        }
        let watched = self.shelves.values_mut().filter(|shelf| shelf.ages.is_suspicious());
        watched.map(|shelf| shelf.drop_closed(&self.keeper, now)).sum()
    }

    /// Closes what is too old, surplus or closed by the backend. Returns how many the backend had closed.
    pub(crate) fn sweep(&mut self, now: Tick) -> u64 {
        let mut closed = 0;
        for shelf in self.shelves.values_mut() {
            closed += shelf.drop_closed(&self.keeper, now);
            shelf.trim(now);
            shelf.ages.relax(now);
        }
        closed
    }

    /// Closes everything: somebody needs the descriptors more.
    pub(crate) fn clear(&mut self) {
        self.shelves.values_mut().for_each(|shelf| shelf.idle.clear());
    }

    /// Closes the connections of all backends that `is_wanted` denies.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(u64) -> bool) {
        self.shelves.retain(|backend, _| is_wanted(*backend));
    }

    /// Connections kept now.
    pub(crate) fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.idle.len()).sum()
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool { shelves: HashMap::default(), keeper: Waker::noop().clone() }
    }
}

impl Shelf {
    fn drop_closed(&mut self, keeper: &Waker, now: Tick) -> u64 {
        let before = self.idle.len();
        let ages = &mut self.ages;
        self.idle.retain_mut(|idle| {
            let closed = idle.conn.socket().has_news(keeper) && idle.conn.is_disturbed(keeper);
            if closed {
                ages.closed(now.since(idle.since), now);
            }
            !closed
        });
        (before - self.idle.len()) as u64
    }

    fn trim(&mut self, now: Tick) {
        let mut surplus = self.idle.len().saturating_sub(self.limit);
        let learned = self.ages.limit();
        self.idle.retain(|idle| {
            let age = now.since(idle.since);
            if surplus > 0 && age >= SURPLUS {
                surplus -= 1;
                return false;
            }
            age <= idle.keepalive.unwrap_or(learned)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;
    use crate::end::{Buffers, Part, Piece};
    use crate::socket::Socket;

    const TERMS: Terms = Terms { keepalive: None, limit: 2 };

    /// A connection that has carried one exchange, and the backend's side of it.
    async fn used_connection() -> (Box<Conn>, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let mut conn = Box::new(Conn::new(Socket::Unix(near)));
        let mut buffers = Buffers::new(0);
        let mut head = None;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        if let wire::Parsed::Done { head: parsed, .. } =
            wire::parse_request(request, &mut 0, &wire::Rules::default(), &mut buffers.pages)
        {
            head = Some(parsed);
        }
        let head = head.expect("a request head");
        let edits = wire::RequestEdits {
            client: std::net::IpAddr::from([127, 0, 0, 1]),
            proto: "http",
            trusted: false,
            request_id: None,
            route: None,
        };
        poll_fn(|cx| Poll::Ready(conn.offer_request(cx, &mut buffers.scratch, &head, &edits, &Part::NOTHING, None)))
            .await
            .expect("a request sent");
        far.writable().await.expect("a writable backend");
        far.try_write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("an answer sent");
        poll_fn(|cx| {
            let Buffers { receive, pages, .. } = &mut buffers;
            let piece = conn.poll_piece(cx, &head, receive, pages, &wire::Rules::default());
            piece.map(|piece| assert!(matches!(piece, Ok(Piece::Head(_, Part { last: true, .. })))))
        })
        .await;
        (conn, far)
    }

    /// So many milliseconds after the engine's start.
    fn at(ms: u64) -> Tick {
        Tick(ms * 1_000)
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(test);
    }

    /// Waits until the runtime has seen that the backend closed.
    async fn close_and_notice(conn: &Conn, far: UnixStream) {
        drop(far);
        while !conn.socket().has_news(Waker::noop()) {
            tokio::task::yield_now().await;
        }
    }

    fn is_idle(found: Found) -> bool {
        matches!(found, Found::Idle(..))
    }

    #[test]
    fn the_youngest_is_taken_and_a_closed_one_never() {
        run(async {
            let mut pool = Pool::default();
            let (alive, _far) = used_connection().await;
            let (closed, far) = used_connection().await;
            close_and_notice(&closed, far).await;
            let terms = Terms { keepalive: Some(Duration::from_secs(10)), ..TERMS };
            pool.put(1, alive, terms, at(1_000));
            pool.put(1, closed, terms, at(1_500));
            let mut stale = 0;
            assert!(is_idle(pool.take(1, true, at(2_000), &mut stale)));
            assert_eq!(stale, 1);
            assert!(!is_idle(pool.take(1, true, at(2_000), &mut stale)));
            assert!(!is_idle(pool.take(2, true, at(2_000), &mut stale)));
        });
    }

    #[test]
    fn a_backend_that_closed_early_is_remembered_for_a_while() {
        run(async {
            let mut pool = Pool::default();
            let (closed, far) = used_connection().await;
            close_and_notice(&closed, far).await;
            pool.put(1, closed, TERMS, at(0));
            assert_eq!(pool.sweep(at(1_000)), 1);
            let (conn, _far) = used_connection().await;
            pool.put(1, conn, TERMS, at(2_000));
            assert!(!is_idle(pool.take(1, true, at(2_900), &mut 0)), "older than 80 % of what was seen closed");
            let (conn, _far) = used_connection().await;
            pool.put(1, conn, TERMS, at(3_000));
            assert!(is_idle(pool.take(1, true, at(3_700), &mut 0)));
        });
    }

    #[test]
    fn what_may_not_be_sent_twice_takes_only_young_connections() {
        run(async {
            let mut pool = Pool::default();
            let (conn, _far) = used_connection().await;
            pool.put(1, conn, TERMS, at(0));
            assert!(!is_idle(pool.take(1, false, at(2_000), &mut 0)));
            assert!(is_idle(pool.take(1, true, at(2_000), &mut 0)), "it is still good enough for what may");
        });
    }

    #[test]
    fn a_burst_is_kept_for_a_second_and_then_trimmed() {
        run(async {
            let mut pool = Pool::default();
            let mut backends = Vec::new();
            for _ in 0..5 {
                let (conn, far) = used_connection().await;
                pool.put(1, conn, TERMS, at(0));
                backends.push(far);
            }
            pool.sweep(at(999));
            assert_eq!(pool.len(), 5);
            pool.sweep(at(1_000));
            assert_eq!(pool.len(), 2);
            pool.retain(|backend| backend != 1);
            assert_eq!(pool.len(), 0);
        });
    }
}
