//! Addresses as users write them: where pylb listens ([`Bind`]) and where a backend is ([`Address`]).
//!
//! The surprise is IPv6. `:8080` means every address of both families, one socket that takes IPv4 too; `[::]:8080`
//! means every IPv6 address and leaves IPv4 to another listener. So a bind carries `only_v6`, and two binds may be in
//! each other's way without being equal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Linux, unix(7): `sun_path` holds 108 bytes, the last of them zero.
const LONGEST_SOCKET_PATH: usize = 107;
/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: i32 = 3;
const BINDS: &str = "`:8080`, `127.0.0.1:8080`, `[::]:8080`, `unix:/run/x.sock` or `fd:3`";
const UDP_BINDS: &str = "`:53`, `127.0.0.1:53` or `[::]:53`";
const ADDRESSES: &str = "`10.0.0.1:9001`, `[2001:db8::1]:9001` or `unix:/run/x.sock`";

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A TCP port.
    Tcp {
        /// Which address and port.
        address: SocketAddr,
        /// An IPv6 socket that does not take IPv4; always set but for `:PORT`.
        only_v6: bool,
    },
    /// A UDP port, which has nothing to do with the TCP port of the same number.
    Udp {
        /// Which address and port.
        address: SocketAddr,
        /// As with TCP.
        only_v6: bool,
    },
    /// A UNIX socket at this path.
    Unix(PathBuf),
    /// A listening socket that the process inherited under this number.
    Fd(i32),
}

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A UNIX socket at this path.
    Unix(PathBuf),
}

impl Bind {
    /// `0.0.0.0:8080`, `:8080`, `[::]:80`, `unix:/run/x.sock` or `fd:3`.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        if let Some(path) = written.strip_prefix("unix:") {
            return socket_path(written, path).map(Bind::Unix);
        }
        if let Some(number) = written.strip_prefix("fd:") {
            return descriptor(written, number).map(Bind::Fd);
        }
        let (address, only_v6) = port(written, BINDS)?;
        Ok(Bind::Tcp { address, only_v6 })
    }

    /// `0.0.0.0:53`, `:53` or `[::]:53`, for datagrams.
    pub(crate) fn parse_udp(written: &str) -> Result<Self, String> {
        if written.starts_with("unix:") || written.starts_with("fd:") {
            return Err(format!("`{written}` is not for datagrams; expected {UDP_BINDS}"));
        }
        let (address, only_v6) = port(written, UDP_BINDS)?;
        Ok(Bind::Udp { address, only_v6 })
    }

    /// Both cannot be open at the same time: they are equal, or one takes addresses of the other.
    pub fn collides(&self, other: &Bind) -> bool {
        let (one, two) = match (self, other) {
            (Bind::Tcp { address: one, .. }, Bind::Tcp { address: two, .. }) => (one, two),
            (Bind::Udp { address: one, .. }, Bind::Udp { address: two, .. }) => (one, two),
            _ => return self == other,
        };
        let meet = one == two || self.takes(two.ip()) || other.takes(one.ip());
        one.port() == two.port() && one.port() != 0 && meet
    }

    /// What is sent to `ip` on this bind's port would arrive here.
    fn takes(&self, ip: IpAddr) -> bool {
        match self {
            Bind::Tcp { address, only_v6 } | Bind::Udp { address, only_v6 } if address.ip().is_unspecified() => {
                address.is_ipv4() == ip.is_ipv4() || (address.is_ipv6() && !only_v6)
            }
            Bind::Tcp { address, .. } | Bind::Udp { address, .. } => address.ip() == ip,
            Bind::Unix(_) | Bind::Fd(_) => false,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp { address, only_v6: false } | Bind::Udp { address, only_v6: false } => {
                write!(out, ":{}", address.port())
            }
            Bind::Tcp { address, .. } | Bind::Udp { address, .. } => write!(out, "{address}"),
            Bind::Unix(path) => write!(out, "unix:{}", path.display()),
            Bind::Fd(number) => write!(out, "fd:{number}"),
        }
    }
}

impl Address {
    /// `10.0.0.1:9001`, `[2001:db8::1]:9001` or `unix:/run/x.sock`; names are resolved already.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        if let Some(path) = written.strip_prefix("unix:") {
            return socket_path(written, path).map(Address::Unix);
        }
        let address = socket_address(written, ADDRESSES)?;
        if address.port() == 0 {
            return Err(format!("`{written}` has port 0, where nothing can be reached; write the backend's port"));
        }
        Ok(Address::Tcp(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(out, "{address}"),
            Address::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

/// An address with a port, and whether it leaves out IPv4; `:PORT` is every address of both families.
fn port(written: &str, examples: &str) -> Result<(SocketAddr, bool), String> {
    match written.strip_prefix(':').filter(|port| !port.contains(':')) {
        Some(port) => Ok((SocketAddr::from((Ipv6Addr::UNSPECIFIED, port_number(written, port)?)), false)),
        None => Ok((socket_address(written, examples)?, true)),
    }
}

/// Where it is not plain what was meant, the message ends in `examples`.
fn socket_address(written: &str, examples: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = written.parse() {
        return Ok(address);
    }
    if let Ok(ip) = written.parse::<IpAddr>() {
        let example = SocketAddr::from((ip, 8080));
        return Err(format!("`{written}` has no port; write it as in `{example}`"));
    }
    let Some((host, port)) = written.rsplit_once(':') else {
        return Err(format!("`{written}` is not an address with a port; expected {examples}"));
    };
    port_number(written, port)?;
    Err(match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("`{written}` needs brackets: write `[{host}]:{port}`"),
        Err(_) => format!("`{written}` does not start with an IP address; expected {examples}"),
    })
}

fn port_number(written: &str, port: &str) -> Result<u16, String> {
    let digits = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(format!("`{written}` does not end in a port; a port is a number up to 65535")),
    }
}

fn descriptor(written: &str, number: &str) -> Result<i32, String> {
    match number.parse() {
        Ok(descriptor) if descriptor >= FIRST_INHERITED => Ok(descriptor),
        _ => Err(format!("`{written}` is not an inherited socket; write `fd:3`, or a higher number")),
    }
}

fn socket_path(written: &str, path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') {
        return Err(format!("`{written}` has no absolute path; write it as in `unix:/run/x.sock`"));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            "`{written}` is too long: the path of a UNIX socket has at most {LONGEST_SOCKET_PATH} bytes"
        ));
    }
    if path.contains('\0') {
        return Err(format!("{written:?} has a zero byte, which no path has"));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(written: &str) -> Bind {
        Bind::parse(written).unwrap()
    }

    #[test]
    fn shows_a_bind_as_it_was_written() {
        for written in ["0.0.0.0:8080", ":8080", "[::]:80", "[::1]:80", "unix:/run/x.sock", "fd:3", "127.0.0.1:0"] {
            assert_eq!(bind(written).to_string(), written);
        }
    }

    #[test]
    fn only_a_bare_port_takes_both_families() {
        assert!(matches!(bind(":80"), Bind::Tcp { only_v6: false, .. }));
        assert!(matches!(bind("[::]:80"), Bind::Tcp { only_v6: true, .. }));
    }

    #[test]
    fn knows_which_binds_are_in_each_others_way() {
        let collide = |one: &str, two: &str| {
            assert_eq!(bind(one).collides(&bind(two)), bind(two).collides(&bind(one)), "{one} {two}");
            bind(one).collides(&bind(two))
        };
        assert!(collide("0.0.0.0:80", "0.0.0.0:80"));
        assert!(collide(":80", "0.0.0.0:80"));
        assert!(collide(":80", "[::]:80"));
        assert!(collide(":80", "10.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "10.0.0.1:80"));
        assert!(collide("unix:/x", "unix:/x"));
        assert!(collide("fd:3", "fd:3"));
        assert!(!collide("[::]:80", "0.0.0.0:80"));
        assert!(!collide("[::]:80", "10.0.0.1:80"));
        assert!(!collide("10.0.0.1:80", "10.0.0.2:80"));
        assert!(!collide("0.0.0.0:80", "0.0.0.0:81"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collide("unix:/x", "unix:/y"));
    }

    #[test]
    fn datagrams_have_ports_of_their_own() {
        let udp = |written: &str| Bind::parse_udp(written).unwrap();
        for written in ["0.0.0.0:53", ":53", "[::]:53", "[::1]:53"] {
            assert_eq!(udp(written).to_string(), written);
            assert!(udp(written).collides(&udp(written)), "{written}");
            assert!(!udp(written).collides(&bind(written)) && !bind(written).collides(&udp(written)), "{written}");
        }
        assert!(udp(":53").collides(&udp("127.0.0.1:53")) && udp("127.0.0.1:53").collides(&udp(":53")));
        assert!(!udp("[::]:53").collides(&udp("0.0.0.0:53")));
        assert!(!udp("127.0.0.1:0").collides(&udp("127.0.0.1:0")));
        for written in ["unix:/x.sock", "fd:3", "localhost:53"] {
            assert!(Bind::parse_udp(written).unwrap_err().contains("`[::]:53`"), "{written}");
        }
    }

    #[test]
    fn an_error_says_what_to_write() {
        for (written, part) in [
            ("8080", "is not an address with a port"),
            ("127.0.0.1", "`127.0.0.1:8080`"),
            ("::1", "`[::1]:8080`"),
            ("::1:80000", "a port is a number up to 65535"),
            ("1:2:3:4:5:6:7:8:80", "`[1:2:3:4:5:6:7:8]:80`"),
            ("localhost:80", "does not start with an IP address"),
            (":http", "a port is a number up to 65535"),
            (":+80", "a port is a number up to 65535"),
            ("unix:x.sock", "`unix:/run/x.sock`"),
            ("fd:2", "`fd:3`"),
        ] {
            let message = Bind::parse(written).unwrap_err();
            assert!(message.contains(part), "{written}: {message}");
        }
        assert!(Address::parse("10.0.0.1:0").unwrap_err().contains("port 0"));
        assert!(Address::parse(":80").unwrap_err().contains("`10.0.0.1:9001`"));
    }
}
