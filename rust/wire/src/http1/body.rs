//! Where a body ends, and its chunk framing taken away.
//!
//! A chunked body is never passed on as it came. Sizes are read strictly, the framing is removed in place (so that the data of
//! all chunks at hand lies together and goes out in one write), extensions end here, and what is sent on is framed by us. The
//! reader keeps its place between reads in a few words; bytes of a half line are never asked for again. Framing is walked
//! byte by byte, which is cheap because there are few such bytes, and data is skipped in one step.
//!
//! ```text
//!   Size --;--> Extension --CR--> SizeEnd --LF--> Data --> DataCr --> DataLf --> Size ...
//!        \------------CR------------^   \--LF, size 0--> Trailers --empty line--> Done
//! ```

use std::ops::Range;

use crate::error::{Blame, Fault, Rule};
use crate::fields::{check_line, may_trail, trim};
use crate::head::Framing;

/// One chunk-size line with its extension, in bytes, without its line end.
const LINE: u16 = 256;
/// All chunk extensions of one body, in bytes.
const EXTENSIONS: u16 = 4 << 10;
/// All trailer lines of one body, in bytes.
const TRAILERS: usize = 8 << 10;
/// Trailer fields of one body.
const TRAILER_FIELDS: u8 = 32;

/// Reads one body. Small, and without allocation except for trailers.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    blame: Blame,
    /// Length of the current chunk-size line.
    line: u16,
    /// Length of all extensions so far.
    extensions: u16,
    trailers: Option<Box<Trailers>>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Done,
    /// Bytes that are left.
    Length(u64),
    UntilClose,
    Size {
        value: u64,
        digits: u8,
    },
    Extension(u64),
    SizeEnd(u64),
    /// Bytes that are left of this chunk.
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerEnd,
}

#[derive(Debug, Default)]
struct Trailers {
    line: Vec<u8>,
    kept: Vec<u8>,
    /// Bytes of all lines, kept or not.
    size: usize,
    count: u8,
}

/// What one read found in the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where the data of the body lies in the bytes, without framing.
    pub data: Range<usize>,
    /// How many bytes were consumed; what follows is beyond this message.
    pub used: usize,
    /// Whether the body ends here.
    pub last: bool,
}

impl BodyReader {
    /// A reader for the body of a request.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => NEXT_CHUNK,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, blame: Blame::Client, line: 0, extensions: 0, trailers: None }
    }

    /// A reader for the body of a response: the same, but faults are the backend's.
    pub fn of_response(framing: Framing) -> Self {
        Self { blame: Blame::Backend, ..Self::new(framing) }
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what belongs to the body from the start of `bytes`, removing chunk framing in place.
    ///
    /// After a fault the reader and the bytes are of no use: the message is cut.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<Taken, Fault> {
        let (data, used) = match self.state {
            State::Done => (0..0, 0),
            State::UntilClose => (0..bytes.len(), bytes.len()),
            State::Length(left) => {
                let (taken, left) = take(left, bytes.len());
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                (0..taken, taken)
            }
            _ => self.chunks(bytes).map_err(|rule| self.fault(rule))?,
        };
        Ok(Taken { data, used, last: self.is_done() })
    }

    /// The stream ended. That is the end of a body until close, and a fault within any other.
    pub fn end_of_input(&mut self) -> Result<(), Fault> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(self.fault(Rule::IncompleteBody)),
        }
    }

    /// The trailer lines that may go on, each with its line end; None if there are none, or not yet.
    pub fn trailers(&mut self) -> Option<Vec<u8>> {
        let trailers = self.trailers.take_if(|_| self.state == State::Done)?;
        (!trailers.kept.is_empty()).then_some(trailers.kept)
    }

    fn fault(&self, rule: Rule) -> Fault {
        Fault::new(rule, self.blame)
    }

    /// Returns where the data lies and how many bytes were consumed.
    fn chunks(&mut self, bytes: &mut [u8]) -> Result<(Range<usize>, usize), Rule> {
        let mut data = 0..0;
        let mut at = 0usize;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Done => break,
                State::Data(left) => {
                    let (taken, left) = take(left, bytes.len().saturating_sub(at));
                    let end = at.saturating_add(taken);
                    if data.is_empty() {
                        data = at..end;
                    } else {
                        bytes.copy_within(at..end, data.end);
                        data.end = data.end.saturating_add(taken);
                    }
                    self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                    at = end;
                }
                framing => {
                    self.state = self.step(framing, byte)?;
                    at = at.saturating_add(1);
                }
            }
        }
        Ok((data, at))
    }

    /// One byte of framing.
    fn step(&mut self, state: State, byte: u8) -> Result<State, Rule> {
        match (state, byte) {
            (State::Size { value, digits: 1.. }, b'\r') | (State::Extension(value), b'\r') => Ok(State::SizeEnd(value)),
            (State::Size { .. } | State::Extension(_), b'\n') => Err(Rule::BareLf),
            (State::Size { value, digits }, _) => self.size(value, digits, byte),
            (State::Extension(value), _) => self.extension(value, byte),
            (State::SizeEnd(0), b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd(size), b'\n') => {
                self.line = 0;
                Ok(State::Data(size))
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(NEXT_CHUNK),
            (State::DataCr | State::DataLf, _) => Err(Rule::BadChunkEnd),
            (State::TrailerStart, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerEnd, b'\n') => Ok(State::Done),
            (State::SizeEnd(_) | State::TrailerEnd, _) => Err(Rule::BareCr),
            _ => self.trailers.get_or_insert_default().push(byte),
        }
    }

    fn size(&mut self, value: u64, digits: u8, byte: u8) -> Result<State, Rule> {
        if byte == b';' && digits > 0 {
            return self.extension(value, byte);
        }
        self.line = self.line.saturating_add(1);
        let digit = char::from(byte).to_digit(16).filter(|_| digits < 16).ok_or(Rule::BadChunkSize)?;
        Ok(State::Size { value: value.wrapping_shl(4) | u64::from(digit), digits: digits.saturating_add(1) })
    }

    fn extension(&mut self, value: u64, byte: u8) -> Result<State, Rule> {
        self.line = self.line.saturating_add(1);
        self.extensions = self.extensions.saturating_add(1);
        match byte {
            _ if self.line > LINE => Err(Rule::ChunkLineTooLong),
            _ if self.extensions > EXTENSIONS => Err(Rule::ChunkExtensionsTooLarge),
            0..=8 | 10..=31 | 127 => Err(Rule::BadChunkExtension),
            _ => Ok(State::Extension(value)),
        }
    }
}

/// The start of a chunk-size line.
const NEXT_CHUNK: State = State::Size { value: 0, digits: 0 };

/// Splits `left` into what `room` holds and what is left then.
fn take(left: u64, room: usize) -> (usize, u64) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(room);
    (taken, left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX)))
}

impl Trailers {
    fn push(&mut self, byte: u8) -> Result<State, Rule> {
        self.size = self.size.saturating_add(1);
        if self.size > TRAILERS {
            return Err(Rule::TrailersTooLarge);
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(State::Trailer);
        }
        self.count = self.count.saturating_add(1);
        if self.count > TRAILER_FIELDS {
            return Err(Rule::TooManyTrailers);
        }
        self.keep()?;
        self.line.clear();
        Ok(State::TrailerStart)
    }

    /// Checks the line and keeps it if it may go on.
    fn keep(&mut self) -> Result<(), Rule> {
        let line = self.line.strip_suffix(b"\r\n").ok_or(Rule::BareLf)?;
        if line.contains(&b'\r') {
            return Err(Rule::BareCr);
        }
        check_line(line, true, self.count == 1)?;
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Rule::MissingColon)?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        if may_trail(name) {
            self.kept.extend_from_slice(name);
            self.kept.extend_from_slice(b": ");
            self.kept.extend_from_slice(trim(value.strip_prefix(b":").unwrap_or_default()));
            self.kept.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
