//! Responses: a backend's bytes through parser, body reader and renderer.

use wire::{
    Blame, BodyReader, Fault, Head, Pages, Parsed, ResponseEdits, Rule, Rules, parse_request, parse_response,
    render_response, response_framing,
};

use crate::data::{Ending, ResponseCase, ResponseOutcome, Wanted, bytes, text};

/// What the client sees.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    interim: Vec<u16>,
    head: Vec<u8>,
    status: u16,
    body: Vec<u8>,
    trailers: Vec<u8>,
    fault: Option<Fault>,
    done: bool,
    /// What follows the head is no longer HTTP.
    switched: bool,
    reused: bool,
}

pub fn check(case: &ResponseCase) -> Result<(), String> {
    let origin = case.origin.bytes();
    let mut whole = play(case, &origin, origin.len().max(1));
    for step in [1, 2, 3, 7, 100, 4096] {
        let mut split = play(case, &origin, step);
        if whole.fault.is_some() {
            // What came together with a fault may be lost with it.
            let short = whole.body.len().min(split.body.len());
            whole.body.truncate(short);
            split.body.truncate(short);
        }
        if split != whole {
            return Err(format!("in pieces of {step} it comes to {split:?}, whole to {whole:?}"));
        }
    }
    compare(&play(case, &origin, origin.len().max(1)), &case.expect)
}

fn client_head(case: &ResponseCase) -> Head {
    match parse_request(&bytes(&case.request), &mut 0, &Rules::default(), &mut Pages::default()) {
        Parsed::Done { head, .. } => head,
        other => panic!("{}: {other:?}", case.name),
    }
}

fn play(case: &ResponseCase, origin: &[u8], step: usize) -> Seen {
    let client = client_head(case);
    let mut player = Player::new(case, &client);
    for piece in origin.chunks(step) {
        player.buffer.extend_from_slice(piece);
        if !player.turn() {
            break;
        }
    }
    player.finish(case.close)
}

struct Player<'a> {
    client: &'a Head,
    rules: Rules,
    buffer: Vec<u8>,
    scanned: usize,
    pages: Pages,
    body: Option<(BodyReader, bool)>,
    seen: Seen,
}

impl<'a> Player<'a> {
    fn new(case: &ResponseCase, client: &'a Head) -> Self {
        Self {
            client,
            rules: case.listener.rules(),
            buffer: Vec::new(),
            scanned: 0,
            pages: Pages::default(),
            body: None,
            seen: Seen::default(),
        }
    }

    /// Takes what the buffer holds; false after a fault.
    fn turn(&mut self) -> bool {
        while self.body.is_none() && !self.buffer.is_empty() {
            match parse_response(&self.buffer, &mut self.scanned, self.client, &self.rules, &mut self.pages) {
                Parsed::More => return true,
                Parsed::Bad(fault) => return self.fail(fault),
                Parsed::Done { head, used } => {
                    self.buffer.drain(..used);
                    self.scanned = 0;
                    self.begin(&head);
                }
            }
            if self.seen.interim.len() > 8 {
                return self.fail(Fault::new(Rule::TooManyInterim, Blame::Backend));
            }
        }
        if self.seen.switched {
            self.seen.body.append(&mut self.buffer);
        }
        let Some((reader, _)) = self.body.as_mut() else {
            return true;
        };
        match reader.read(&mut self.buffer) {
            Err(fault) => self.fail(fault),
            Ok(taken) => {
                self.seen.body.extend_from_slice(&self.buffer[taken.data]);
                self.buffer.drain(..taken.used);
                true
            }
        }
    }

    fn begin(&mut self, head: &Head) {
        if head.is_interim() {
            self.seen.interim.push(head.status());
            return;
        }
        let version = self.client.version();
        let edits = ResponseEdits::plain(version, self.client.keep_alive(), response_framing(head, version));
        render_response(head, &edits, &mut self.seen.head);
        self.seen.status = head.status();
        self.seen.switched = head.is_switch();
        self.body = Some((BodyReader::of_response(head.framing()), head.keep_alive()));
    }

    fn fail(&mut self, fault: Fault) -> bool {
        assert_eq!((fault.blame(), fault.status()), (Blame::Backend, 502));
        self.seen.fault = Some(fault);
        false
    }

    fn finish(mut self, closes: bool) -> Seen {
        let Some((mut reader, keeps)) = self.body.take() else {
            if self.seen.fault.is_none() && closes {
                self.seen.fault = Some(Fault::new(Rule::IncompleteHead, Blame::Backend));
            }
            return self.seen;
        };
        if closes && self.seen.fault.is_none() {
            self.seen.fault = reader.end_of_input().err();
        }
        self.seen.trailers = reader.trailers().unwrap_or_default();
        self.seen.done = reader.is_done() && self.seen.fault.is_none();
        self.seen.reused = self.seen.done && !self.seen.switched && keeps && self.buffer.is_empty() && !closes;
        self.seen
    }
}

fn compare(seen: &Seen, wanted: &ResponseOutcome) -> Result<(), String> {
    let rule = seen.fault.map(|fault| fault.rule());
    if rule != wanted.rule.as_deref() {
        return Err(format!("came to {seen:?}"));
    }
    let Some(end) = wanted.end else {
        let refused = wanted.status == 502 && seen.status == 0;
        return if refused { Ok(()) } else { Err(format!("came to {seen:?}")) };
    };
    let ended = match seen {
        _ if seen.switched => Ending::Switched,
        _ if seen.done => Ending::Clean,
        _ => Ending::Cut,
    };
    let found = (seen.status, ended, &seen.interim, seen.reused);
    if found != (wanted.status, end, &wanted.interim, wanted.reused.unwrap_or(seen.reused)) {
        return Err(format!("came to {found:?}"));
    }
    if wanted.body.as_ref().is_some_and(|body| bytes(body) != seen.body) {
        return Err(format!("the body is {:?}", text(&seen.body)));
    }
    let trailers = wanted.trailers.iter().flatten().map(|line| format!("{line}\r\n")).collect::<String>();
    if bytes(&trailers) != seen.trailers {
        return Err(format!("the trailers are {:?}", text(&seen.trailers)));
    }
    Wanted { line: wanted.line.as_ref(), has: &wanted.has, only: wanted.only.as_ref(), lacks: &wanted.lacks }
        .check(&seen.head)
}
