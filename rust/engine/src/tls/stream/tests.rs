//! A stream at one end of a pair of sockets, rustls's buffered connection at the other, and chance in between: records
//! and writes of any length, cut and delayed anywhere.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::Poll;

use proptest::prelude::*;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::runtime::{Builder, LocalOptions};

use super::*;

const BUFFER: usize = 64 * 1024;

/// Configurations that trust each other.
struct Parties {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Parties {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["pylb.test".to_owned()]).expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version]);
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
        let server = server.expect("a version").with_no_client_auth().with_single_cert(vec![certificate], key);
        let client = client.expect("a version").with_root_certificates(roots).with_no_client_auth();
        Parties { server: Arc::new(server.expect("a pair")), client: Arc::new(client) }
    }
}

/// The far end: a client whose ciphertext goes out and comes in as the test says.
struct Far {
    socket: UnixStream,
    tls: ClientConnection,
    plain: Vec<u8>,
    ended: bool,
}

impl Far {
    fn new(socket: UnixStream, parties: &Parties) -> Self {
        let name = ServerName::try_from("pylb.test").expect("a name");
        let tls = ClientConnection::new(Arc::clone(&parties.client), name).expect("a client");
        Far { socket, tls, plain: Vec::new(), ended: false }
    }

    /// Sends at most `count` bytes of what there is to send.
    fn send(&mut self, count: usize) {
        let mut some = Some { socket: &mut self.socket, left: count };
        while self.tls.wants_write() && some.left > 0 {
            if self.tls.write_tls(&mut some).is_err() {
                return;
            }
        }
    }

    /// Takes at most `count` bytes from the socket.
    fn hear(&mut self, count: usize) -> Result<(), rustls::Error> {
        let mut bytes = vec![0; count];
        match self.socket.read(&mut bytes) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                let mut rest = &bytes[..count];
                while !rest.is_empty() {
                    self.tls.read_tls(&mut rest).expect("room");
                    self.tls.process_new_packets()?;
                    let mut plain = [0; 4096];
                    while let Ok(count @ 1..) = self.tls.reader().read(&mut plain) {
                        self.plain.extend_from_slice(&plain[..count]);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        Ok(())
    }

    fn has_closed(&mut self) -> bool {
        matches!(self.tls.reader().read(&mut [0]), Ok(0))
    }
}

/// A writer that takes a bounded number of bytes.
struct Some<'a> {
    socket: &'a mut UnixStream,
    left: usize,
}

impl Write for Some<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.socket.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

/// The near one as the engine has it, the far one as it is.
fn sockets() -> (tokio::net::UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    for socket in [&near, &far] {
        socket.set_nonblocking(true).expect("a socket");
    }
    (tokio::net::UnixStream::from_std(near).expect("a runtime"), far)
}

async fn pair(version: &'static SupportedProtocolVersion) -> (Stream, Far) {
    let (near, far) = sockets();
    let parties = Parties::new(version);
    let session = Session::server(Arc::clone(&parties.server)).expect("a session");
    let mut stream = Stream::new(Socket::Unix(near), session, Vec::new());
    let mut far = Far::new(far, &parties);
    shake(&mut stream, &mut far, usize::MAX).await.expect("a handshake");
    (stream, far)
}

/// Both ends, by at most `step` bytes at a time, until the near one is done.
async fn shake(stream: &mut Stream, far: &mut Far, step: usize) -> Result<(), rustls::Error> {
    let mut buffer = vec![0; BUFFER];
    loop {
        far.send(step);
        let polled = poll_fn(|cx| {
            let polled = stream.poll_handshake(cx, &mut buffer).map(|result| result.expect("a socket"));
            Poll::Ready(match polled {
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Ready(Ok(done)) => {
                    let _ = stream.poll_flush(cx);
                    done.then_some(Ok(()))
                }
                Poll::Pending => {
                    let _ = stream.poll_flush(cx);
                    None
                }
            })
        })
        .await;
        if let Option::Some(result) = polled {
            far.hear(BUFFER)?;
            return result;
        }
        far.hear(step.min(BUFFER))?;
        tokio::task::yield_now().await;
    }
}

async fn read(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; BUFFER];
    let count = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(count);
    Ok(buffer)
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> usize {
    poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)])).await.expect("a peer")
}

/// Says that no more comes, or sends what is left of that.
async fn shut(stream: &mut Stream) {
    poll_fn(|cx| {
        stream.shutdown_write(cx);
        Poll::Ready(())
    })
    .await;
}

/// Turns of the scheduler after which whatever was under way has arrived.
async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

fn is_bare(stream: &Stream) -> bool {
    [&stream.inbound, &stream.outbound, &stream.stash].iter().all(|buffer| buffer.capacity() == 0)
}

#[test]
fn an_idle_connection_owns_no_buffer() {
    for version in [&TLS12, &TLS13] {
        run(async {
            let (mut stream, mut far) = pair(version).await;
            far.tls.writer().write_all(b"hello").expect("room");
            far.send(BUFFER);
            assert_eq!(read(&mut stream).await.expect("bytes"), b"hello");
            assert_eq!(write(&mut stream, b"world").await, 5);
            far.hear(BUFFER).expect("sound records");
            assert_eq!(far.plain, b"world");
            assert!(is_bare(&stream));
        });
    }
}

#[test]
fn tickets_wait_for_the_answer_to_what_came_along() {
    run(async {
        let (mut stream, mut far) = pair(&TLS13).await;
        far.tls.writer().write_all(b"hello").expect("room");
        far.send(BUFFER);
        settle().await;
        assert_eq!(read(&mut stream).await.expect("bytes"), b"hello");
        assert!(
            stream.poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut vec![0; BUFFER]).is_pending()
        );
        assert_eq!(stream.unsent(), 0);
        far.hear(BUFFER).expect("sound records");
        assert_eq!(far.tls.tls13_tickets_received(), 0);
        write(&mut stream, b"world").await;
        far.hear(BUFFER).expect("sound records");
        assert!(far.tls.tls13_tickets_received() > 0);
        assert_eq!(far.plain, b"world");
    });
}

#[test]
fn tickets_go_soon_to_a_client_that_says_nothing() {
    run(async {
        let (mut stream, mut far) = pair(&TLS13).await;
        let mut buffer = vec![0; BUFFER];
        let silent = poll_fn(|cx| stream.poll_read(cx, &mut buffer));
        tokio::select! {
            _ = silent => panic!("the client said nothing"),
            () = settle() => {}
        }
        far.hear(BUFFER).expect("sound records");
        assert!(far.tls.tls13_tickets_received() > 0);
    });
}

#[test]
fn an_announced_end_is_an_end_and_another_is_an_error() {
    for version in [&TLS12, &TLS13] {
        run(async {
            let (mut stream, mut far) = pair(version).await;
            far.tls.writer().write_all(b"bye").expect("room");
            far.tls.send_close_notify();
            far.send(BUFFER);
            assert_eq!(read(&mut stream).await.expect("bytes"), b"bye");
            assert_eq!(read(&mut stream).await.expect("an end"), b"");
            assert_eq!(write(&mut stream, b"still here").await, 10);
            shut(&mut stream).await;
            far.hear(BUFFER).expect("sound records");
            assert_eq!(far.plain, b"still here");
            assert!(far.has_closed());

            let (mut stream, far) = pair(version).await;
            drop(far);
            assert_eq!(read(&mut stream).await.expect_err("a cut").kind(), ErrorKind::UnexpectedEof);
            assert_eq!(read(&mut stream).await.expect_err("a cut").kind(), ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn a_changed_record_ends_both_directions() {
    run(async {
        let (mut stream, mut far) = pair(&TLS13).await;
        far.tls.writer().write_all(b"hello").expect("room");
        let mut bytes = Vec::new();
        far.tls.write_tls(&mut bytes).expect("a record");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        far.socket.write_all(&bytes).expect("room");
        assert_eq!(read(&mut stream).await.expect_err("a forgery").kind(), ErrorKind::InvalidData);
        poll_fn(|cx| {
            assert!(matches!(stream.poll_write(cx, &[IoSlice::new(b"x")]), Poll::Ready(Err(_))));
            Poll::Ready(())
        })
        .await;
        let heard = far.hear(BUFFER);
        assert!(matches!(heard, Err(rustls::Error::AlertReceived(_))), "{heard:?}");
    });
}

#[test]
fn new_keys_are_taken_and_answered() {
    run(async {
        let (mut stream, mut far) = pair(&TLS13).await;
        for _ in 0..3 {
            far.tls.refresh_traffic_keys().expect("TLS 1.3");
            far.tls.writer().write_all(b"hello").expect("room");
            far.send(BUFFER);
            assert_eq!(read(&mut stream).await.expect("bytes"), b"hello");
            write(&mut stream, b"world").await;
            far.hear(BUFFER).expect("sound records");
        }
        assert_eq!(far.plain, b"worldworldworld");
        assert!(is_bare(&stream));
    });
}

#[test]
fn what_is_written_before_anything_is_read_loses_nothing() {
    run(async {
        let (near, far) = sockets();
        let parties = Parties::new(&TLS13);
        let mut stream =
            Stream::new(Socket::Unix(near), Session::server(parties.server.clone()).expect("one"), Vec::new());
        let mut far = Far::new(far, &parties);
        far.tls.writer().write_all(b"early").expect("room");
        shake(&mut stream, &mut far, usize::MAX).await.expect("a handshake");
        write(&mut stream, b"greeting").await;
        far.hear(BUFFER).expect("sound records");
        assert_eq!(far.plain, b"greeting");
        far.send(BUFFER);
        assert_eq!(read(&mut stream).await.expect("bytes"), b"early");
    });
}

#[test]
fn more_behind_a_first_message_than_the_buffer_holds_is_refused() {
    run(async {
        let (near, far) = sockets();
        let parties = Parties::new(&TLS13);
        let mut hello = Vec::new();
        Far::new(far, &parties).tls.write_tls(&mut hello).expect("a hello");
        hello.resize(BUFFER, 0);
        let session = Session::server(parties.server.clone()).expect("a session");
        let mut stream = Stream::new(Socket::Unix(near), session, hello);
        let mut buffer = vec![0; BUFFER];
        let polled = poll_fn(|cx| stream.poll_handshake(cx, &mut buffer)).await;
        assert!(polled.expect("a socket").is_err());
    });
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// The far end writes so many bytes.
    FarWrites(usize),
    /// And so many bytes of ciphertext leave it.
    FarSends(usize),
    /// The far end takes up to so many bytes of ciphertext.
    FarHears(usize),
    /// New keys, by the far end.
    FarRefreshes,
    /// The near end writes pieces of these lengths.
    NearWrites(Vec<usize>),
    NearReads,
}

fn event() -> impl Strategy<Value = Event> {
    let length = || prop_oneof![1..20_usize, 1..2_000_usize, 1..70_000_usize];
    prop_oneof![
        length().prop_map(Event::FarWrites),
        length().prop_map(Event::FarSends),
        length().prop_map(Event::FarHears),
        Just(Event::FarRefreshes),
        prop::collection::vec(length(), 1..4).prop_map(Event::NearWrites),
        Just(Event::NearReads),
        Just(Event::NearReads),
    ]
}

/// Bytes that tell where they belong.
fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|index| (index % 251) as u8).collect()
}

async fn play(version: &'static SupportedProtocolVersion, step: usize, events: Vec<Event>) {
    let (near, far) = sockets();
    let parties = Parties::new(version);
    let session = Session::server(Arc::clone(&parties.server)).expect("a session");
    let (mut stream, mut far) = (Stream::new(Socket::Unix(near), session, Vec::new()), Far::new(far, &parties));
    shake(&mut stream, &mut far, step).await.expect("a handshake");
    far.tls.set_buffer_limit(None);
    let (mut said, mut answered, mut got) = (0, 0, 0);
    let mut buffer = vec![0; BUFFER];
    for event in events {
        match event {
            Event::FarWrites(count) => {
                far.tls.writer().write_all(&pattern(said, count)).expect("room");
                said += count;
            }
            Event::FarSends(count) => far.send(count),
            Event::FarHears(count) => far.hear(count).expect("sound records"),
            Event::FarRefreshes if std::ptr::eq(version, &TLS13) => {
                far.tls.refresh_traffic_keys().expect("TLS 1.3");
            }
            Event::FarRefreshes => {}
            Event::NearWrites(lengths) => {
                let bytes = pattern(answered, lengths.iter().sum());
                let mut rest = &bytes[..];
                let pieces = lengths.iter().map(|length| {
                    let (piece, behind) = rest.split_at(*length);
                    rest = behind;
                    IoSlice::new(piece)
                });
                let pieces: Vec<_> = pieces.collect();
                poll_fn(|cx| {
                    if let Poll::Ready(count) = stream.poll_write(cx, &pieces) {
                        answered += count.expect("a peer");
                    }
                    Poll::Ready(())
                })
                .await;
                assert!(stream.unsent() <= RIDES_ALONG + MOST + 8 * OVERHEAD);
            }
            Event::NearReads => got = near_reads(&mut stream, &mut buffer, got).await,
        }
        tokio::task::yield_now().await;
    }
    far.tls.send_close_notify();
    shut(&mut stream).await;
    while got < said || far.plain.len() < answered || !far.ended {
        far.send(usize::MAX);
        got = near_reads(&mut stream, &mut buffer, got).await;
        shut(&mut stream).await;
        far.hear(BUFFER).expect("sound records");
        tokio::task::yield_now().await;
    }
    assert!(far.plain == pattern(0, answered), "what the far end got is not what was written");
    assert!(far.has_closed());
    assert!(is_bare(&stream));
}

async fn near_reads(stream: &mut Stream, buffer: &mut [u8], got: usize) -> usize {
    poll_fn(|cx| {
        let Poll::Ready(count) = stream.poll_read(cx, buffer) else { return Poll::Ready(got) };
        let count = count.expect("sound records");
        assert!(buffer[..count] == pattern(got, count), "what was read is not what was sent");
        Poll::Ready(got + count)
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_in_order_however_it_is_cut(
        new in any::<bool>(),
        step in prop_oneof![1..40_usize, 1..3_000_usize],
        events in prop::collection::vec(event(), 1..60),
    ) {
        run(play(if new { &TLS13 } else { &TLS12 }, step, events));
    }
}
