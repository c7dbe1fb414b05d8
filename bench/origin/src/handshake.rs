//! TLS handshakes and nothing else: connect, shake hands, get a ticket, close.
//!
//! A client has finished before the server has: only what the server sends afterwards proves that it took the client's
//! Finished. Here that is the session ticket, which every proxy sends at once. Then the client says close_notify, ends its
//! side, and the next connection begins when the proxy has closed too, so that no more than `connections` are ever open.
//!
//! With `resume`, each handshake takes a ticket of those before. The first ones have none: they are made, as many as
//! there are connections, before the clock starts, and a later handshake that is not resumed is an error.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::options::Load;
use crate::poller::{Interest, Poller, loopback};
use crate::tally::Tally;
use crate::tls;

/// How long to wait for the last handshakes once no new ones begin; those that are not done then are errors.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes handshakes for that time and prints how many and how long they took.
pub fn run(load: Load, resume: bool) -> io::Result<()> {
    let config = tls::client(resume);
    if resume {
        let mut before = Shakers::new(load, &config, false)?;
        before.run(Duration::ZERO)?;
    }
    let mut shakers = Shakers::new(load, &config, resume)?;
    shakers.run(load.time)?;
    shakers.tally.print()
}

struct Shakers {
    port: u16,
    config: Arc<ClientConfig>,
    must_resume: bool,
    poller: Poller,
    clients: Vec<Option<Client>>,
    tally: Tally,
}

impl Shakers {
    fn new(load: Load, config: &Arc<ClientConfig>, must_resume: bool) -> io::Result<Self> {
        let (config, poller) = (Arc::clone(config), Poller::new()?);
        let clients = Vec::with_capacity(load.connections);
        let mut made = Self { port: load.to, config, must_resume, poller, clients, tally: Tally::new() };
        for number in 0..load.connections {
            made.clients.push(None);
            made.begin(number)?;
        }
        Ok(made)
    }

    fn run(&mut self, time: Duration) -> io::Result<()> {
        let mut ready = Vec::new();
        let patience = self.tally.end(time) + PATIENCE;
        while self.clients.iter().any(Option::is_some) {
            if Instant::now() > patience {
                self.tally.errors += self.clients.iter().flatten().count() as u64;
                break;
            }
            self.poller.wait_until(&mut ready, patience)?;
            for number in ready.drain(..) {
                self.turn(number, time)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, number: usize, time: Duration) -> io::Result<()> {
        let Some(client) = self.clients[number].as_mut() else {
            return Ok(());
        };
        match client.turn() {
            Ok(Step::On) => return Ok(()),
            Ok(Step::Shaken) => {
                self.tally.took(client.began);
                let resumed = client.tls.handshake_kind() == Some(HandshakeKind::Resumed);
                self.tally.resumed += u64::from(resumed);
                self.tally.errors += u64::from(self.must_resume && !resumed);
                return Ok(());
            }
            Ok(Step::Over) => {}
            Err(_) => self.tally.errors += 1,
        }
        self.clients[number] = None;
        if !self.tally.is_over(time) {
            self.begin(number)?;
        }
        Ok(())
    }

    fn begin(&mut self, number: usize) -> io::Result<()> {
        let client = Client::new(self.port, &self.config)?;
        self.poller.add(&client.stream, number, Interest::Read)?;
        self.clients[number] = Some(client);
        Ok(())
    }
}

enum Step {
    On,
    Shaken,
    Over,
}

struct Client {
    stream: TcpStream,
    tls: ClientConnection,
    began: Instant,
    is_leaving: bool,
}

impl Client {
    fn new(port: u16, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let began = Instant::now();
        let stream = TcpStream::connect(loopback(port))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let tls = ClientConnection::new(Arc::clone(config), tls::server_name()).map_err(io::Error::other)?;
        let mut client = Self { stream, tls, began, is_leaving: false };
        client.send()?;
        Ok(client)
    }

    fn turn(&mut self) -> io::Result<Step> {
        if self.is_leaving {
            // What still comes is of no interest, and neither is how the proxy closes.
            let more = matches!(self.stream.read(&mut [0; 4096]), Ok(1..));
            return Ok(if more { Step::On } else { Step::Over });
        }
        if self.tls.read_tls(&mut self.stream)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.tls.process_new_packets().map_err(io::Error::other)?;
        let shaken = self.tls.tls13_tickets_received() > 0;
        if shaken {
            self.is_leaving = true;
            self.tls.send_close_notify();
        }
        self.send()?;
        if shaken {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(if shaken { Step::Shaken } else { Step::On })
    }

    /// Some hundred bytes, which a fresh socket always takes.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.stream)?;
        }
        self.stream.flush()
    }
}
