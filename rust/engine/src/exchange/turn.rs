//! A request in the line before a full pool.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use plan::Reply;

use super::story::since;
use super::{Choice, Exchange};
use crate::end::Conn;
use crate::failure::Failure;
use crate::reply::Answer;
use crate::running::Held;
use crate::wait::turn::{Applicant, Wait, take_turn};
use crate::worker::Worker;

/// A request that waits, with the client that it came from.
struct Waiting<'a> {
    exchange: &'a mut Exchange,
    worker: &'a Worker,
    down: &'a mut Conn,
}

impl Exchange {
    /// Waits until a backend is picked; an answer instead if none is in time.
    pub(super) async fn take_turn(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        wait: Wait,
    ) -> Result<Option<Box<Answer>>, Failure> {
        let begun = worker.now();
        self.story.queued = Some(Duration::ZERO);
        let result = take_turn(&mut Waiting { exchange: self, worker, down }, worker, wait, begun).await;
        self.story.queued = Some(since(begun, worker.now()));
        result
    }

    /// What ends any wait of a request that is with nobody: the end of pylb, or of its client.
    pub(super) fn poll_standing(
        &mut self,
        worker: &Worker,
        down: &mut Conn,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if worker.is_stopping() {
            return Err(Failure::Stopped);
        }
        self.watch_client(down, &mut worker.buffers.borrow_mut().receive, cx)
    }
}

impl Applicant for Waiting<'_> {
    type Answer = Box<Answer>;
    type End = Failure;

    fn held(&self) -> &Held {
        &self.exchange.held
    }

    fn choose(&mut self, is_next: bool) -> Choice {
        self.exchange.choose(self.worker, is_next)
    }

    fn full(&self) -> Box<Answer> {
        Box::new(Reply::FULL.into())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        self.exchange.poll_standing(self.worker, self.down, cx)
    }

    fn is_outdated(&self) -> bool {
        self.newer().is_some()
    }

    fn follow_plan(&mut self) {
        if let Some((held, index)) = self.newer() {
            self.exchange.listener = index;
            self.exchange.progress.restart(index);
            self.exchange.held = held;
        }
    }

    fn escape(&mut self) {
        self.exchange.progress.escape();
    }
}

impl Waiting<'_> {
    /// The plan to move on to, and the listener there. A request that a backend has seen stays with the plan that it was
    /// sent by, and so does one whose port speaks something else now.
    fn newer(&self) -> Option<(Held, u32)> {
        let Exchange { tries, door, held, .. } = &*self.exchange;
        let newer = self.worker.held(*door).filter(|newer| tries.count() == 0 && !Rc::ptr_eq(newer, held))?;
        let (index, _) = newer.http(*door)?;
        Some((newer, index))
    }
}
