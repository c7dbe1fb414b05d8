//! The access log: one line per exchange, composed by the worker, written by the side thread.
//!
//! A worker appends lines to a buffer of its own and hands the whole buffer over when it is full or when the
//! tick comes. The queue between them is bounded: a sink that does not keep up loses lines, which are
//! counted, and never delays a request. Everything from outside passes [`escape`].

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use plan::LogFormat;
use tokio::sync::Notify;
use wire::{Head, Version};

use crate::tls::facts::Facts;

/// A buffer is handed over beyond this size: at 32 KiB the two wake-ups per batch cost 3 % of the process's time.
const BATCH: usize = 128 * 1024;
/// Batches in flight between the workers and the side thread; with [`BATCH`] this bounds the memory.
const BATCHES: usize = 64;

/// Lines on their way to the sink.
pub(crate) struct Batch {
    pub bytes: Vec<u8>,
    pub lines: u64,
}

/// The way from the workers to the side thread.
pub(crate) struct Queue {
    pub full: ArrayQueue<Batch>,
    pub spare: ArrayQueue<Vec<u8>>,
    pub wake: Notify,
    /// Lines dropped and not yet reported.
    pub dropped: AtomicU64,
    /// Lines dropped and reported.
    pub dropped_before: AtomicU64,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Queue {
            full: ArrayQueue::new(BATCHES),
            spare: ArrayQueue::new(BATCHES),
            wake: Notify::new(),
            dropped: AtomicU64::new(0),
            dropped_before: AtomicU64::new(0),
        }
    }
}

/// One exchange, as the log tells it.
pub(crate) struct Record<'a> {
    /// When it ended, since the Unix epoch.
    pub at: Duration,
    pub id: &'a [u8],
    pub client: IpAddr,
    /// What is spoken, where no request says it.
    pub proto: Option<&'static str>,
    /// The name that was asked for, where no request says it.
    pub host: Option<&'a [u8]>,
    pub request: Option<&'a Head>,
    pub route: Option<&'a str>,
    pub pool: Option<&'a str>,
    pub backend: Option<&'a str>,
    /// Backends that were tried in vain, and why.
    pub attempts: &'a [(&'a str, &'static str)],
    /// 0: the exchange ended without an answer. `None`: what is spoken knows no answers.
    pub status: Option<u16>,
    pub proxy_status: Option<&'static str>,
    /// How it was found out to which backend the client belongs.
    pub sticky: Option<&'static str>,
    pub reason: Option<&'a str>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub queued: Option<Duration>,
    pub connect: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub total: Duration,
    pub reused: bool,
    /// What was agreed on with the client, where TLS ends here.
    pub tls: Option<&'a Facts>,
    /// The rule that `lenient: true` waived for this request.
    pub leniency: Option<&'static str>,
}

impl<'a> Record<'a> {
    /// Of something that has ended, of which nothing else is known.
    pub(crate) fn of(at: Duration, id: &'a [u8], client: IpAddr) -> Self {
        Record {
            at,
            id,
            client,
            proto: None,
            host: None,
            request: None,
            route: None,
            pool: None,
            backend: None,
            attempts: &[],
            status: None,
            proxy_status: None,
            sticky: None,
            reason: None,
            bytes_in: 0,
            bytes_out: 0,
            queued: None,
            connect: None,
            first_byte: None,
            total: Duration::ZERO,
            reused: false,
            leniency: None,
            tls: None,
        }
    }
}

/// A worker's side of the log.
pub(crate) struct Log {
    lines: RefCell<Batch>,
    second: Cell<(u64, Stamp)>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let empty = Batch { bytes: Vec::new(), lines: 0 };
        Log { lines: RefCell::new(empty), second: Cell::new((u64::MAX, Stamp::default())) }
    }

    /// Adds a line.
    pub(crate) fn write(&self, record: &Record<'_>, format: LogFormat, queue: &Queue) {
        let stamp = self.stamp(record.at.as_secs());
        let mut lines = self.lines.borrow_mut();
        match format {
            LogFormat::Json => json(record, &stamp, record.at.subsec_millis(), &mut lines.bytes),
            LogFormat::Combined => combined(record, &stamp, &mut lines.bytes),
        }
        lines.lines += 1;
        if lines.bytes.len() >= BATCH {
            hand_over(&mut lines, queue);
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self, queue: &Queue) {
        let mut lines = self.lines.borrow_mut();
        if lines.lines > 0 {
            hand_over(&mut lines, queue);
        }
    }

    fn stamp(&self, second: u64) -> Stamp {
        let (known, stamp) = self.second.get();
        if known == second {
            return stamp;
        }
        let stamp = Stamp::of(second);
        self.second.set((second, stamp));
        stamp
    }
}

fn hand_over(lines: &mut Batch, queue: &Queue) {
    let empty = Batch { bytes: queue.spare.pop().unwrap_or_else(|| Vec::with_capacity(BATCH + 4096)), lines: 0 };
    let batch = std::mem::replace(lines, empty);
    if let Err(refused) = queue.full.push(batch) {
        queue.dropped.fetch_add(refused.lines, Ordering::Relaxed);
    }
    queue.wake.notify_one();
}

/// A second of UTC, taken apart (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
#[derive(Clone, Copy, Default)]
struct Stamp {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Stamp {
    fn of(unix: u64) -> Self {
        let days = unix / 86_400 + 719_468;
        let era = days / 146_097;
        let of_era = days % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let of_day = unix % 86_400;
        Stamp {
            year: (year_of_era + era * 400 + u64::from(month <= 2)) as u32,
            month: month as u32,
            day: (of_year - (153 * shifted + 2) / 5 + 1) as u32,
            hour: (of_day / 3_600) as u32,
            minute: (of_day / 60 % 60) as u32,
            second: (of_day % 60) as u32,
        }
    }

    /// RFC 3339 with milliseconds.
    fn write_rfc3339(&self, millis: u32, out: &mut Vec<u8>) {
        digits(self.year, 4, out);
        for (separator, value) in
            [(b'-', self.month), (b'-', self.day), (b'T', self.hour), (b':', self.minute), (b':', self.second)]
        {
            out.push(separator);
            digits(value, 2, out);
        }
        out.push(b'.');
        digits(millis, 3, out);
        out.push(b'Z');
    }

    /// The form of the common log format: `24/Nov/2026:11:18:49 +0000`.
    fn write_common(&self, out: &mut Vec<u8>) {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        digits(self.day, 2, out);
        out.push(b'/');
        let start = (self.month.clamp(1, 12) as usize - 1) * 3;
        out.extend_from_slice(&MONTHS[start..start + 3]);
        out.push(b'/');
        digits(self.year, 4, out);
        for value in [self.hour, self.minute, self.second] {
            out.push(b':');
            digits(value, 2, out);
        }
        out.extend_from_slice(b" +0000");
    }
}

fn digits(value: u32, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u32.pow(place) % 10) as u8);
    }
}

fn json(record: &Record<'_>, stamp: &Stamp, millis: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":\"");
    stamp.write_rfc3339(millis, out);
    out.push(b'"');
    string("id", Some(record.id), out);
    string("trace_id", record.request.and_then(trace_id), out);
    out.extend_from_slice(b",\"client\":\"");
    address(record.client, out);
    out.push(b'"');
    string("proto", record.request.map(protocol).or(record.proto.map(str::as_bytes)), out);
    tls(record.tls, out);
    string("method", record.request.map(Head::method_name), out);
    string("host", record.request.map(Head::host).or(record.host), out);
    string("path", record.request.map(Head::received_target), out);
    string("route", record.route.map(str::as_bytes), out);
    string("pool", record.pool.map(str::as_bytes), out);
    string("backend", record.backend.map(str::as_bytes), out);
    out.extend_from_slice(b",\"attempts\":[");
    for (position, (backend, why)) in record.attempts.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"backend\":\"");
        escape(backend.as_bytes(), out);
        out.extend_from_slice(b"\",\"why\":\"");
        escape(why.as_bytes(), out);
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"],\"status\":");
    status(record.status, b"null", out);
    string("proxy_status", record.proxy_status.map(str::as_bytes), out);
    out.extend_from_slice(b",\"bytes_in\":");
    number(record.bytes_in, out);
    out.extend_from_slice(b",\"bytes_out\":");
    number(record.bytes_out, out);
    out.extend_from_slice(b",\"ms\":{\"head\":null,\"queue\":");
    milliseconds(record.queued, out);
    out.extend_from_slice(b",\"hook\":null,\"connect\":");
    milliseconds(record.connect, out);
    out.extend_from_slice(b",\"ttfb\":");
    milliseconds(record.first_byte, out);
    out.extend_from_slice(b",\"total\":");
    milliseconds(Some(record.total), out);
    out.push(b'}');
    string("sticky", record.sticky.map(str::as_bytes), out);
    string("reason", record.reason.map(str::as_bytes), out);
    out.extend_from_slice(b",\"flags\":[");
    if record.reused {
        out.extend_from_slice(b"\"reused\"");
    }
    if let Some(rule) = record.leniency {
        out.extend_from_slice(if record.reused { b",\"lenient: " } else { b"\"lenient: " });
        escape(rule.as_bytes(), out);
        out.push(b'"');
    }
    out.extend_from_slice(b"]}\n");
}

/// `{"version":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","sni":"a.example","resumed":false}`, or null.
fn tls(facts: Option<&Facts>, out: &mut Vec<u8>) {
    let Some(facts) = facts else { return out.extend_from_slice(b",\"tls\":null") };
    out.extend_from_slice(b",\"tls\":{\"version\":\"");
    out.extend_from_slice(facts.version.as_bytes());
    out.push(b'"');
    string("cipher", Some(facts.cipher.as_bytes()), out);
    string("sni", facts.sni.as_deref().map(str::as_bytes), out);
    out.extend_from_slice(if facts.resumed { b",\"resumed\":true}" } else { b",\"resumed\":false}" });
}

fn combined(record: &Record<'_>, stamp: &Stamp, out: &mut Vec<u8>) {
    let field = |name: &[u8]| record.request.and_then(|head| head.field(name)).unwrap_or(b"-");
    address(record.client, out);
    out.extend_from_slice(b" - - [");
    stamp.write_common(out);
    out.extend_from_slice(b"] \"");
    if let Some(head) = record.request {
        escape(head.method_name(), out);
        out.push(b' ');
        escape(head.received_target(), out);
        out.push(b' ');
        out.extend_from_slice(protocol(head));
    } else {
        out.extend_from_slice(record.proto.unwrap_or("-").as_bytes());
    }
    out.extend_from_slice(b"\" ");
    status(record.status, b"-", out);
    out.push(b' ');
    number(record.bytes_out, out);
    for name in [&b"referer"[..], b"user-agent"] {
        out.extend_from_slice(b" \"");
        escape(field(name), out);
        out.push(b'"');
    }
    out.push(b'\n');
}

fn protocol(head: &Head) -> &'static [u8] {
    match head.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
    }
}

/// The trace id of W3C Trace Context: the second field of `traceparent`.
fn trace_id(head: &Head) -> Option<&[u8]> {
    head.field(b"traceparent")?.split(|byte| *byte == b'-').nth(1)
}

fn string(name: &str, value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    match value {
        Some(value) => {
            out.extend_from_slice(b"\":\"");
            escape(value, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"\":null"),
    }
}

fn status(value: Option<u16>, none: &[u8], out: &mut Vec<u8>) {
    match value {
        Some(value) => number(u64::from(value), out),
        None => out.extend_from_slice(none),
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn milliseconds(value: Option<Duration>, out: &mut Vec<u8>) {
    let Some(value) = value else {
        return out.extend_from_slice(b"null");
    };
    let us = value.as_micros() as u64;
    number(us / 1_000, out);
    out.push(b'.');
    digits((us % 1_000) as u32, 3, out);
}

fn address(client: IpAddr, out: &mut Vec<u8>) {
    use std::io::Write;
    let _ = write!(out, "{client}");
}

/// The one escaping function: the result is valid inside a JSON string, is one line, and is plain ASCII;
/// control bytes and bytes over 0x7e become `\u00XX`.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let byte = special[0];
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &special[1..];
    }
    out.extend_from_slice(rest);
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc() {
        let mut out = Vec::new();
        Stamp::of(1_795_519_129).write_rfc3339(7, &mut out);
        assert_eq!(out, b"2026-11-24T11:18:49.007Z");
        out.clear();
        Stamp::of(951_782_400).write_common(&mut out);
        assert_eq!(out, b"29/Feb/2000:00:00:00 +0000");
    }

    #[test]
    fn nothing_from_outside_breaks_a_line() {
        let every: Vec<u8> = (0..=255).collect();
        let mut out = vec![b'"'];
        escape(&every, &mut out);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(text.chars().count(), 256);
        assert!(out.iter().all(|byte| (0x20..0x7f).contains(byte)));
    }
}
