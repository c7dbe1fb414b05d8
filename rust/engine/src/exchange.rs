//! One request from head to last byte. Written once for all protocols: read this file first.
//!
//! ```text
//! decide ──> connect or reuse ──> flow ──> settle
//!    ^                              │
//!    └──── may be tried again ──────┘
//! ```
//!
//! `decide` (crate `plan`) says where to; `flow` moves both directions in one poll of one task, so a message that
//! is at hand costs no wake-up. Whatever fails is a [`Failure`], which knows whose fault it is and whether the
//! request may go to a backend again; the pool's budget has the last word. While nothing of an answer has been
//! sent the client gets a proper one; after that the only honest end is a cut.
//!
//! In the folder: `turn.rs` waits for a place, `reach.rs` gets a connection, `flow.rs` moves the bytes, `patience.rs`
//! keeps the deadlines, `retry.rs` judges failures, `switched.rs` goes on as a tunnel, `stick.rs` keeps clients with
//! their backends, `secure.rs` knows what TLS means for requests, `answer.rs` says what no backend says, `story.rs` counts and logs.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use plan::{Progress, Request, Step, Tick};
use wire::Head;

use crate::arrival::Ends;
use crate::client::Client;
use crate::clock::Seat;
use crate::end::Conn;
use crate::failure::Failure;
use crate::pace::Pace;
use crate::pick::Pick;
use crate::reply::Answer;
use crate::request_id::RequestId;
use crate::running::Held;
use crate::tls::facts::Facts;
use crate::wait::turn::{Wait, step_back};
use crate::worker::Worker;

mod answer;
mod flow;
mod patience;
mod reach;
mod replay;
mod retry;
mod secure;
mod stick;
mod story;
mod switched;
mod turn;

use patience::Phase;
use retry::Tries;
use story::Story;

/// What the client's connection does next.
pub(crate) enum After {
    /// Another request may come.
    Next,
    /// Close in peace.
    Close,
    /// Cut: the answer is incomplete.
    Abort,
    /// [`Exchange::switch`]: plain bytes from here on.
    Tunnel,
}

impl After {
    /// After a complete answer.
    fn of(down: &Conn) -> Self {
        if down.is_reusable() && down.has_read_all() { After::Next } else { After::Close }
    }
}

/// A request on its way.
pub(crate) struct Exchange {
    held: Held,
    listener: u32,
    door: u32,
    seat: Seat,
    peer: IpAddr,
    client: IpAddr,
    ends: Option<Box<Ends>>,
    trusted: bool,
    /// What was agreed on with the client, if TLS ends here.
    tls: Option<Rc<Facts>>,
    last_request: bool,
    head: Option<Head>,
    id: RequestId,
    progress: Progress,
    pick: Option<Pick>,
    up: Option<Upstream>,
    upload: Upload,
    watching: bool,
    /// The backend has said to go on.
    continued: bool,
    phase: Phase,
    pace: Pace,
    tries: Tries,
    story: Story,
}

/// The connection to the backend that was picked.
struct Upstream {
    /// Boxed, because it moves between the pool and exchanges all the time.
    conn: Box<Conn>,
    /// How long it had been idle, if it was; a close on a fresh one is the backend's fault, on an old one chance.
    reused: Option<Duration>,
    sent: Tick,
}

/// What becomes of the request's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upload {
    /// The head has not been sent yet.
    Unsent,
    Open,
    Done,
    /// The backend stopped taking it; its answer may still come.
    Refused,
}

impl Exchange {
    /// `index` is the listener's position in the plan that is held; `served` counts this request.
    pub(crate) fn new(client: &Client, held: Held, index: u32, head: Head, seat: Seat, served: u32) -> Self {
        let worker = &client.worker;
        let started = worker.now();
        let http = spoken(&held, index);
        let trusted = wire::forwarded::is_trusted(client.peer, &http.trusted);
        let address = if trusted { wire::forwarded::client(client.peer, &http.trusted, &head) } else { client.peer };
        let last_request = served >= http.max_requests;
        Exchange {
            listener: index,
            door: client.door,
            seat,
            peer: client.peer,
            client: address,
            ends: client.ends.clone(),
            trusted,
            tls: None,
            last_request,
            id: RequestId::new(worker.clock.wall(started), worker.random()),
            progress: Progress::new(index),
            pick: None,
            up: None,
            upload: Upload::Unsent,
            watching: true,
            continued: false,
            phase: Phase::None,
            pace: Pace::default(),
            tries: Tries::default(),
            story: Story::new(started),
            head: Some(head),
            held,
        }
    }

    /// A request that came over TLS.
    pub(crate) fn over(self, tls: Option<&Rc<Facts>>) -> Self {
        Exchange { tls: tls.cloned(), ..self }
    }

    /// Runs the exchange to its end and says what becomes of the client's connection.
    pub(crate) async fn run(&mut self, worker: &Worker, down: &mut Conn) -> After {
        let result = match self.refusal() {
            Some(failure) => Err(failure),
            None => self.forward(worker, down).await,
        };
        let after = match result {
            Ok(Sent::Relayed) if down.has_backlog() => Box::pin(self.flush(worker, down)).await,
            Ok(Sent::Relayed) => After::of(down),
            Ok(Sent::Switched) => return After::Tunnel,
            Ok(Sent::Reply(answer)) => Box::pin(self.answer(worker, down, *answer)).await,
            Err(failure) => Box::pin(self.fail(worker, down, failure)).await,
        };
        self.close_book(worker);
        after
    }

    /// Tries backends until one has answered, the request may not be sent again, or none is left.
    async fn forward(&mut self, worker: &Worker, down: &mut Conn) -> Result<Sent, Failure> {
        loop {
            match self.choose(worker, false) {
                Choice::Go => {}
                Choice::Answer(answer) => return Ok(Sent::Reply(answer)),
                Choice::Wait(wait) => {
                    if let Some(answer) = Box::pin(self.take_turn(worker, down, wait)).await? {
                        return Ok(Sent::Reply(answer));
                    }
                }
            }
            let reached = match self.reuse(worker) {
                true => Ok(()),
                false => Box::pin(self.open(worker, down)).await,
            };
            let result = match reached {
                Ok(()) => poll_fn(|cx| self.poll_flow(worker, down, cx)).await,
                Err(failure) => Err(failure),
            };
            match result {
                Ok(sent) => return Ok(sent),
                Err(failure) => Box::pin(self.recover(worker, down, failure)).await?,
            }
        }
    }

    /// Picks the next backend. `is_next`: nobody waits who was here before.
    fn choose(&mut self, worker: &Worker, is_next: bool) -> Choice {
        match self.decide(worker) {
            Step::Reply(reply) => Choice::Answer(Box::new((*reply).into())),
            Step::Wait { pool, until } => Choice::Wait(Wait { pool, until }),
            Step::Send { pool, slot } => {
                let pick = Pick::new(self.held.clone(), pool, slot);
                if !is_next && pick.is_awaited() {
                    drop(pick);
                    return Choice::Wait(step_back(&mut self.progress, pool));
                }
                if self.tries.count() == 0 {
                    pick.budget().request(self.story.started);
                }
                self.tries.begin();
                self.story.served_by = Some((pool, slot));
                self.pick = Some(pick);
                Choice::Go
            }
        }
    }

    fn decide(&mut self, worker: &Worker) -> Step<'_> {
        let now = self.story.present(worker, self.tries.count() == 0);
        let dice = worker.dice();
        let wall = worker.clock.wall(now);
        let secure = self.came_by_https();
        let Exchange { held, progress, head, client, .. } = self;
        match head {
            Some(head) => held.plan.decide(progress, &Request { head, client: *client, secure, now, wall, dice }),
            None => unreachable!("the head leaves the exchange only when its book is closed"),
        }
    }

    fn is_last(&self, worker: &Worker) -> bool {
        self.last_request || worker.is_closing(self.door)
    }

    /// The exchange failed for good.
    async fn fail(&mut self, worker: &Worker, down: &mut Conn, failure: Failure) -> After {
        self.up = None;
        self.story.reason = Some(failure.reason());
        if matches!(failure, Failure::ClientGone | Failure::ClientSlow) {
            if self.story.status == 0 {
                self.story.status = failure.status();
            }
            return After::Abort;
        }
        if !down.is_unanswered() {
            return After::Abort;
        }
        self.answer(worker, down, failure.into()).await
    }

    /// Why the request goes no further, whatever its route.
    fn refusal(&mut self) -> Option<Failure> {
        if self.is_misdirected() {
            self.last_request = true;
            return Some(Failure::Misdirected);
        }
        self.too_large()
    }

    fn too_large(&self) -> Option<Failure> {
        match (self.head().framing(), self.http().max_body) {
            (wire::Framing::Length(length), Some(limit)) if length > limit => Some(Failure::BodyTooLarge),
            _ => None,
        }
    }

    /// Why the exchange has to end although nothing about it is wrong.
    #[cold]
    fn called_off(&self, worker: &Worker) -> Option<Failure> {
        if worker.is_stopping() {
            return Some(Failure::Stopped);
        }
        let pick = self.pick.as_ref().filter(|pick| pick.is_cut(worker.now()))?;
        pick.note_cut(worker);
        Some(Failure::Cut)
    }

    fn head(&self) -> &Head {
        match &self.head {
            Some(head) => head,
            None => unreachable!("the head leaves the exchange only when its book is closed"),
        }
    }

    fn pick(&self) -> &Pick {
        match &self.pick {
            Some(pick) => pick,
            None => unreachable!("between choosing and settling a pick is held"),
        }
    }

    fn listener(&self) -> &plan::Listener {
        &self.held.plan.listeners[self.listener as usize]
    }

    fn http(&self) -> &plan::Http {
        spoken(&self.held, self.listener)
    }

    fn route(&self) -> Option<&plan::Route> {
        self.http().routes.get(self.progress.route? as usize)
    }
}

/// What the listener at this position says about HTTP.
fn spoken(held: &Held, listener: u32) -> &plan::Http {
    match held.plan.listeners[listener as usize].http() {
        Some(http) => http,
        None => unreachable!("an exchange holds a plan in which its listener speaks HTTP"),
    }
}

/// What `decide` says, with a pick that is held.
type Choice = crate::wait::turn::Choice<Box<Answer>>;

/// How a request was answered.
enum Sent {
    Relayed,
    /// By a 101: what follows is a tunnel.
    Switched,
    Reply(Box<Answer>),
}
