//! A client that is here: it is counted, and has a seat in the clock.

use std::rc::Rc;
use std::task::Context;

use crate::clock::Seat;
use crate::observe::facts::Fact;
use crate::worker::Worker;

/// Counts a connection, and keeps its seat, for as long as its task lives, panics included.
pub(crate) struct Presence {
    worker: Rc<Worker>,
    pub(crate) seat: Seat,
}

impl Presence {
    /// Counts a client from now on; [`Presence::new`] must follow in its task.
    pub(crate) fn announce(worker: &Worker) {
        worker.meter().clients.add(1);
    }

    /// For a client that was announced.
    pub(crate) fn new(worker: &Rc<Worker>, cx: &Context<'_>) -> Self {
        Presence { worker: Rc::clone(worker), seat: worker.clock.sit(cx.waker()) }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.worker.clock.leave(self.seat);
        self.worker.meter().clients.sub(1);
        if std::thread::panicking() {
            self.worker.meter().panics.add(1);
            self.worker.shared.facts.push(Fact::ConnectionPanicked);
        }
    }
}
