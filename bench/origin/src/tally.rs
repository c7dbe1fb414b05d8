//! What a client or a server saw, as one line of JSON behind `RESULT`: the same members as bench/report.lua prints for wrk.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Counts, and how long each exchange took.
pub struct Tally {
    began: Instant,
    ended: Option<Instant>,
    /// Bytes received.
    pub bytes: u64,
    /// Whatever did not go as it should.
    pub errors: u64,
    /// Handshakes that took up an earlier session.
    pub resumed: u64,
    done: u64,
    micros: Vec<u32>,
}

impl Tally {
    /// Begins now.
    pub fn new() -> Self {
        Self { began: Instant::now(), ended: None, bytes: 0, errors: 0, resumed: 0, done: 0, micros: Vec::new() }
    }

    /// One exchange that went well and whose duration does not matter.
    pub fn count(&mut self) {
        self.done += 1;
    }

    /// One exchange that went well and began then.
    pub fn took(&mut self, since: Instant) {
        self.done += 1;
        self.micros.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
    }

    /// Whether that much time has passed; once it has, the clock of the result stands still.
    pub fn is_over(&mut self, time: Duration) -> bool {
        if self.ended.is_none() && self.began.elapsed() >= time {
            self.ended = Some(Instant::now());
        }
        self.ended.is_some()
    }

    /// When the time will have passed.
    pub fn end(&self, time: Duration) -> Instant {
        self.began + time
    }

    /// Prints the line.
    pub fn print(mut self) -> io::Result<()> {
        self.micros.sort_unstable();
        let seconds = self.ended.unwrap_or_else(Instant::now).duration_since(self.began).as_secs_f64();
        let (done, bytes, errors, resumed) = (self.done, self.bytes, self.errors, self.resumed);
        let (p50, p99) = (percentile(&self.micros, 50), percentile(&self.micros, 99));
        println!(
            "RESULT {{\"requests\": {done}, \"bytes\": {bytes}, \"seconds\": {seconds:.6}, \"p50_us\": {p50}, \
             \"p99_us\": {p99}, \"errors\": {errors}, \"resumed\": {resumed}}}"
        );
        io::stdout().flush()
    }
}

/// The value that so many per cent are not above, of a sorted list; 0 of an empty one.
fn percentile(sorted: &[u32], percent: usize) -> u32 {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (50, 99));
        assert_eq!((percentile(&[7], 99), percentile(&[], 99)), (7, 0));
    }
}
