//! Requests: a client's bytes through parser, body reader and renderer.

use std::net::{IpAddr, Ipv4Addr};

use wire::{BodyReader, Fault, Head, Pages, Parsed, RequestEdits, parse_request, render_request};

use crate::data::{At, Listener, RequestCase, RequestOutcome, Upstream, Wanted, bytes, text};

/// What came of one request.
#[derive(Clone, Debug, PartialEq)]
enum Came {
    Refused {
        fault: Fault,
        at: At,
    },
    Sent(Sent),
    /// The bytes ended within it.
    Open(At),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Sent {
    head: Vec<u8>,
    body: Vec<u8>,
    trailers: Vec<u8>,
    host: Vec<u8>,
    path: Vec<u8>,
    keep_alive: bool,
}

pub fn check(case: &RequestCase) -> Result<(), String> {
    let send = case.send.bytes();
    let whole = play(&send, send.len().max(1), case.listener);
    for step in [1, 2, 3, 7, 100, 4096] {
        let split = play(&send, step, case.listener);
        if split != whole {
            return Err(format!("in pieces of {step} it comes to {split:?}, whole to {whole:?}"));
        }
    }
    let wanted = case.expect.list();
    if whole.len() != wanted.len() {
        return Err(format!("{} outcomes: {whole:?}", whole.len()));
    }
    whole.iter().zip(wanted).try_for_each(|(came, wanted)| compare(came, wanted))
}

/// Feeds `send` in pieces of `step` bytes.
fn play(send: &[u8], step: usize, listener: Listener) -> Vec<Came> {
    let mut player = Player { listener, ..Player::default() };
    for piece in send.chunks(step) {
        player.buffer.extend_from_slice(piece);
        if player.turn() {
            return player.came;
        }
    }
    player.finish()
}

#[derive(Default)]
struct Player {
    listener: Listener,
    buffer: Vec<u8>,
    scanned: usize,
    pages: Pages,
    body: Option<(Sent, BodyReader)>,
    came: Vec<Came>,
}

impl Player {
    /// Takes what the buffer holds; true when a fault ended it all.
    fn turn(&mut self) -> bool {
        loop {
            let Some((mut sent, mut reader)) = self.body.take() else {
                match parse_request(&self.buffer, &mut self.scanned, &self.listener.rules(), &mut self.pages) {
                    Parsed::More => return false,
                    Parsed::Bad(fault) => {
                        self.came.push(Came::Refused { fault, at: At::Head });
                        return true;
                    }
                    Parsed::Done { head, used } => self.begin(head, used),
                }
                continue;
            };
            match reader.read(&mut self.buffer) {
                Err(fault) => {
                    self.came.push(Came::Refused { fault, at: At::Body });
                    return true;
                }
                Ok(taken) => {
                    sent.body.extend_from_slice(&self.buffer[taken.data]);
                    self.buffer.drain(..taken.used);
                    if !taken.last {
                        self.body = Some((sent, reader));
                        return false;
                    }
                    sent.trailers = reader.trailers().unwrap_or_default();
                    self.came.push(Came::Sent(sent));
                }
            }
            if self.buffer.is_empty() {
                return false;
            }
        }
    }

    fn begin(&mut self, head: Head, used: usize) {
        self.buffer.drain(..used);
        self.scanned = 0;
        let trusted = self.listener == Listener::Trusted;
        let kept = trusted && head.field(b"x-request-id").is_some();
        let edits = RequestEdits {
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            proto: "http",
            trusted,
            request_id: (!kept).then_some(b"018f0000-0000-7000-8000-000000000000"),
            route: None,
        };
        let mut rendered = Vec::new();
        render_request(&head, &edits, &mut rendered);
        let sent = Sent {
            head: rendered,
            host: head.host().to_vec(),
            path: head.path().to_vec(),
            keep_alive: head.keep_alive(),
            ..Sent::default()
        };
        let reader = BodyReader::new(head.framing());
        self.pages.give(head.into_page());
        self.body = Some((sent, reader));
    }

    fn finish(mut self) -> Vec<Came> {
        let at = if self.body.is_some() { At::Body } else { At::Head };
        if self.body.is_some() || !self.buffer.is_empty() {
            self.came.push(Came::Open(at));
        }
        self.came
    }
}

fn compare(came: &Came, wanted: &RequestOutcome) -> Result<(), String> {
    match (came, wanted) {
        (Came::Refused { fault, at }, RequestOutcome::Refused { status, rule, at: place }) => {
            let found = (fault.status(), fault.rule(), *at);
            let same = found == (*status, rule.as_str(), *place);
            if same { Ok(()) } else { Err(format!("came to {found:?}")) }
        }
        (Came::Sent(sent), RequestOutcome::Sent { upstream }) => compare_sent(sent, upstream),
        _ => Err(format!("came to {came:?}")),
    }
}

fn compare_sent(sent: &Sent, wanted: &Upstream) -> Result<(), String> {
    Wanted { line: wanted.line.as_ref(), has: &wanted.has, only: wanted.only.as_ref(), lacks: &wanted.lacks }
        .check(&sent.head)?;
    let head = text(&sent.head);
    let admin = sent.path == b"/admin" || sent.path.starts_with(b"/admin/");
    let pool = if admin { "admin" } else { "main" };
    let same = |what: &str, found: &[u8], wanted: Option<&String>| match wanted {
        Some(wanted) if bytes(wanted) != found => Err(format!("{what} is {:?}", text(found))),
        _ => Ok(()),
    };
    same("host", &sent.host, wanted.host.as_ref())?;
    same("path", &sent.path, wanted.path.as_ref())?;
    same("body", &sent.body, wanted.body.as_ref())?;
    same("pool", pool.as_bytes(), wanted.pool.as_ref())?;
    same("first", head.split("\r\n").nth(1).unwrap_or_default().as_bytes(), wanted.first.as_ref())?;
    let trailers = wanted.trailers.as_ref().map(|lines| lines.iter().map(|line| format!("{line}\r\n")).collect());
    same("trailers", &sent.trailers, trailers.as_ref())?;
    if wanted.keep_alive.is_some_and(|keep| keep != sent.keep_alive) {
        return Err(format!("keep-alive is {}", sent.keep_alive));
    }
    match wanted.lacks_line.iter().find(|line| head.contains(&format!("\r\n{line}\r\n"))) {
        Some(line) => Err(format!("{line:?} is there")),
        None => Ok(()),
    }
}
