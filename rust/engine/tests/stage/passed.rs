//! Drafts and backends of layer 4.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::draft;

/// The draft of a listener that passes connections on to backends at these ports.
pub fn passing(listen: u16, backends: &[u16]) -> Value {
    let mut draft = draft(listen, backends);
    let web = &mut draft["listeners"]["web"];
    (web["protocol"], web["pool"], web["routes"]) = (json!("tcp"), json!("products"), json!([]));
    draft
}

/// Starts a backend that lives as long as the test, with a thread for each connection.
pub fn backend(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Takes everything up to the client's FIN, and only then sends it back behind `name`, and FIN.
pub fn mirror(name: &'static str) -> impl Fn(TcpStream) + Clone + Send + 'static {
    move |mut stream| {
        let mut all = name.as_bytes().to_vec();
        if stream.read_to_end(&mut all).is_ok() && stream.write_all(&all).is_ok() {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// Sends its name, then whatever comes as it comes.
pub fn echo(name: &'static str) -> impl Fn(TcpStream) + Clone + Send + 'static {
    move |mut stream| {
        let mut buffer = vec![0; 65_536];
        let _ = stream.write_all(name.as_bytes());
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    stream
}

/// Says everything and FIN, and returns all that comes back.
pub fn exchange(port: u16, words: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = connect(port);
    stream.write_all(words)?;
    stream.shutdown(Shutdown::Write)?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).map(|_| all)
}

/// Whether the next that comes is a reset.
pub fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// The next `count` bytes, as text.
pub fn hear(stream: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An access log of a test's own.
pub struct Log(PathBuf);

impl Log {
    /// Sends the draft's log to a new file.
    pub fn of(draft: &mut Value) -> Log {
        let path = std::env::temp_dir().join(format!("pylb-test-{}-{}.log", std::process::id(), fastrand::u64(..)));
        draft["log"]["access"] = json!(path);
        Log(path)
    }

    /// Its first lines, as soon as there are so many.
    pub fn lines(&self, count: usize) -> Vec<Value> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let text = std::fs::read_to_string(&self.0).unwrap_or_default();
            if text.matches('\n').count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            }
            assert!(Instant::now() < end, "never {count} lines: {text}");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
