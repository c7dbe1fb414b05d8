//! An origin that takes its time, counts whom it serves at once, and answers as the test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::content_length;

/// What an origin does with a request.
#[derive(Clone, Copy)]
pub struct Manner {
    pub takes: Duration,
    /// 0 never answers.
    pub status: u16,
}

/// A running origin.
#[derive(Clone)]
pub struct Origin {
    pub port: u16,
    at_once: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    served: Arc<AtomicUsize>,
}

impl Origin {
    /// Lives as long as the test.
    pub fn start(manner: Manner) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let origin = Origin { port, at_once: Arc::default(), most: Arc::default(), served: Arc::default() };
        let serving = origin.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream, manner));
            }
        });
        origin
    }

    /// The most requests that were ever here at once.
    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    /// Requests that were ever here.
    pub fn served(&self) -> usize {
        self.served.load(SeqCst)
    }

    fn serve(&self, mut stream: TcpStream, manner: Manner) {
        let _ = stream.set_nodelay(true);
        let mut buffer = [0u8; 4096];
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&buffer[..count]);
            assert!(text.ends_with("\r\n\r\n") || content_length(&text) > 0, "requests of the tests come in one piece");
            self.most.fetch_max(self.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
            self.served.fetch_add(1, SeqCst);
            thread::sleep(manner.takes);
            if manner.status == 0 {
                let _ = stream.read(&mut buffer);
                return;
            }
            self.at_once.fetch_sub(1, SeqCst);
            let answer = format!("HTTP/1.1 {} X\r\ncontent-length: 2\r\n\r\nok", manner.status);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}
