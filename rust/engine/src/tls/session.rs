//! One TLS session without a socket: ciphertext in, plaintext out, and back.
//!
//! rustls does all of TLS; its unbuffered interface leaves the buffers to us, so that a connection that is idle owns
//! none. It works on whatever ciphertext it is shown and names one thing at a time that has to be done about it:
//!
//! ```text
//!   ReadTraffic    take the plaintext of one record
//!   EncodeTlsData  take bytes for the peer: a flight, tickets, an answer to a KeyUpdate, an alert
//!   WriteTraffic   nothing left to do, and plaintext may be encrypted
//!   Blocked        nothing left to do before more ciphertext comes
//! ```
//!
//! Plaintext is moved to the front of the buffer in which its ciphertext lies: a record's plaintext is shorter than the
//! record, so with a record's length of headroom it never meets what is still encrypted. Where there is no such room it
//! goes to the `stash`.

use std::io::IoSlice;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, Error, ProtocolVersion, ServerConfig};

use super::runs::Runs;

/// The longest plaintext of a record (RFC 8446, 5.1).
pub(super) const RECORD: usize = 16 * 1024;

/// What encrypting adds to a record at most: header, content type, tag, and an explicit nonce with TLS 1.2.
pub(super) const OVERHEAD: usize = 64;

/// Either role of rustls.
pub(super) enum Session {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Where a session puts what comes out of it.
pub(super) struct Sinks<'a> {
    /// Plaintext for which the buffer has no room.
    pub stash: &'a mut Vec<u8>,
    /// Bytes for the peer that are not application data.
    pub outbound: &'a mut Vec<u8>,
}

/// What became of a buffer.
#[derive(Default)]
pub(super) struct Digest {
    /// Bytes of plaintext at its front.
    pub plain: usize,
    /// Where the ciphertext begins that still has to lie there the next time.
    pub rest: usize,
    /// The peer has said that it sends no more.
    pub closed: bool,
    /// Application data may be sent.
    pub open: bool,
}

/// What to do once application data may be sent.
enum Wish<'a, 'b> {
    Nothing,
    Close(&'a mut Vec<u8>),
    Encrypt { slices: &'a [IoSlice<'b>], into: &'a mut [u8], moved: Moved },
}

/// What encrypting came to.
#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    /// Bytes of plaintext taken.
    pub plain: usize,
    /// Bytes of ciphertext made.
    pub cipher: usize,
}

impl Session {
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Session::Server)
    }

    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(Session::Client)
    }

    /// What both roles know of the connection.
    pub(super) fn common(&self) -> &CommonState {
        match self {
            Session::Server(side) => side,
            Session::Client(side) => side,
        }
    }

    /// What the client has shown.
    pub(super) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Session::Server(side) => side.peer_certificates()?.first().map(|shown| &**shown),
            Session::Client(_) => None,
        }
    }

    /// Whether all that the peer has yet to hear of the handshake can wait: not the Finished of TLS 1.2.
    pub(super) fn ends_with_tickets(&self) -> bool {
        matches!(self, Session::Server(_)) && self.common().protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Works on the ciphertext from `start` on until nothing can be done.
    ///
    /// # Errors
    /// The peer broke the protocol or is not believed. The alert that tells it lies in `outbound`.
    pub(super) fn digest(&mut self, buffer: &mut [u8], start: usize, sinks: &mut Sinks<'_>) -> Result<Digest, Error> {
        self.work(buffer, start, sinks, &mut Wish::Nothing)
    }

    /// Encrypts of `slices` what fits into `into`; `inbound` is ciphertext that was read before.
    pub(super) fn encrypt(
        &mut self,
        inbound: &mut Vec<u8>,
        sinks: &mut Sinks<'_>,
        slices: &[IoSlice<'_>],
        into: &mut [u8],
    ) -> Result<(Digest, Moved), Error> {
        let mut wish = Wish::Encrypt { slices, into, moved: Moved::default() };
        let digest = self.work(inbound, 0, sinks, &mut wish)?;
        inbound.drain(..digest.rest);
        let Wish::Encrypt { moved, .. } = wish else { return Ok((digest, Moved::default())) };
        Ok((digest, moved))
    }

    /// Says to the peer that no more comes.
    pub(super) fn close(&mut self, inbound: &mut Vec<u8>, sinks: &mut Sinks<'_>) -> Result<Digest, Error> {
        let mut farewell = Vec::new();
        let digest = self.work(inbound, 0, sinks, &mut Wish::Close(&mut farewell))?;
        inbound.drain(..digest.rest);
        sinks.outbound.append(&mut farewell);
        Ok(digest)
    }

    fn work(
        &mut self,
        buffer: &mut [u8],
        start: usize,
        sinks: &mut Sinks<'_>,
        wish: &mut Wish<'_, '_>,
    ) -> Result<Digest, Error> {
        match self {
            Session::Server(side) => work(side, buffer, start, sinks, wish),
            Session::Client(side) => work(side, buffer, start, sinks, wish),
        }
    }
}

/// The one entrance that rustls has twice.
trait Records {
    type Data;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn common(&self) -> &CommonState;

    /// After an error: what it says to the peer. Ciphertext must not be looked at any more.
    fn append_alert(&mut self, outbound: &mut Vec<u8>) {
        while self.common().wants_write()
            && let Ok(ConnectionState::EncodeTlsData(message)) = self.process(&mut []).state
        {
            append(message, outbound);
        }
    }
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

fn work<S: Records>(
    side: &mut S,
    buffer: &mut [u8],
    start: usize,
    sinks: &mut Sinks<'_>,
    wish: &mut Wish<'_, '_>,
) -> Result<Digest, Error> {
    let mut digest = Digest { rest: start, ..Digest::default() };
    loop {
        let (front, records) = buffer.split_at_mut(digest.rest);
        let UnbufferedStatus { discard, state, .. } = side.process(records);
        match state {
            Ok(ConnectionState::ReadTraffic(mut records)) => {
                while let Some(record) = records.next_record() {
                    digest.take(record?.payload, front, sinks.stash);
                }
            }
            Ok(ConnectionState::ReadEarlyData(_)) => return Err(Error::General("early data is off".into())),
            Ok(ConnectionState::EncodeTlsData(message)) => append(message, sinks.outbound),
            Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
            Ok(ConnectionState::PeerClosed) => digest.closed = true,
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                wish.grant(&mut traffic)?;
                digest.open = true;
                digest.rest += discard;
                return Ok(digest);
            }
            Ok(_) => {
                digest.rest += discard;
                return Ok(digest);
            }
            Err(error) => {
                side.append_alert(sinks.outbound);
                return Err(error);
            }
        }
        digest.rest += discard;
    }
}

fn append<D>(mut message: EncodeTlsData<'_, D>, outbound: &mut Vec<u8>) {
    let needed = match message.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        _ => 0,
    };
    let end = outbound.len();
    outbound.resize(end + needed, 0);
    let written = message.encode(&mut outbound[end..]).unwrap_or(0);
    outbound.truncate(end + written);
}

impl Digest {
    fn take(&mut self, payload: &[u8], front: &mut [u8], stash: &mut Vec<u8>) {
        match front.get_mut(self.plain..self.plain + payload.len()) {
            Some(place) if stash.is_empty() => {
                place.copy_from_slice(payload);
                self.plain += payload.len();
            }
            _ => stash.extend_from_slice(payload),
        }
    }
}

impl Wish<'_, '_> {
    fn grant<D>(&mut self, traffic: &mut WriteTraffic<'_, D>) -> Result<(), Error> {
        match self {
            Wish::Nothing => Ok(()),
            Wish::Close(farewell) => {
                let mut alert = [0; 2 * OVERHEAD];
                let length = traffic.queue_close_notify(&mut alert).map_err(cannot)?;
                farewell.extend_from_slice(&alert[..length]);
                Ok(())
            }
            Wish::Encrypt { slices, into, moved } => {
                *moved = encrypt(traffic, slices, into).map_err(cannot)?;
                Ok(())
            }
        }
    }
}

fn cannot(error: EncryptError) -> Error {
    Error::General(error.to_string())
}

/// Makes records of `slices` for as long as a whole one still fits.
fn encrypt<D>(
    traffic: &mut WriteTraffic<'_, D>,
    slices: &[IoSlice<'_>],
    into: &mut [u8],
) -> Result<Moved, EncryptError> {
    let mut moved = Moved::default();
    let mut runs = Runs::new(slices);
    loop {
        let whole = (into.len() - moved.cipher) / (RECORD + OVERHEAD);
        let run = runs.next(whole * RECORD);
        if run.is_empty() {
            return Ok(moved);
        }
        moved.cipher += traffic.encrypt(run, &mut into[moved.cipher..])?;
        moved.plain += run.len();
    }
}
