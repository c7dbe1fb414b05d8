//! Options of the command line: every one is a name and a number.

use std::time::Duration;

/// Names and numbers, in their order.
pub struct Options(Vec<(String, usize)>);

/// What the clients that run for a time have in common.
#[derive(Copy, Clone)]
pub struct Load {
    /// Where the proxy listens.
    pub to: u16,
    /// How many connections or flows there are, all from the beginning on.
    pub connections: usize,
    /// How long new work begins; what is under way then is waited for.
    pub time: Duration,
}

impl Options {
    /// None if a value is missing or is no number.
    pub fn read(arguments: &[String]) -> Option<Self> {
        let pair = |pair: &[String]| Some((pair[0].clone(), pair.get(1)?.parse().ok()?));
        arguments.chunks(2).map(pair).collect::<Option<_>>().map(Self)
    }

    /// The one value of that name.
    pub fn one(&self, name: &str) -> Option<usize> {
        let mut found = self.0.iter().filter(|option| option.0 == name);
        found.next().filter(|_| found.next().is_none()).map(|option| option.1)
    }

    /// The one port of that name.
    pub fn port(&self, name: &str) -> Option<u16> {
        u16::try_from(self.one(name)?).ok()
    }

    /// Every port of that name; None if there is none.
    pub fn ports(&self, name: &str) -> Option<Vec<u16>> {
        let found = self.0.iter().filter(|option| option.0 == name);
        let ports: Option<Vec<u16>> = found.map(|option| u16::try_from(option.1).ok()).collect();
        ports.filter(|all| !all.is_empty())
    }

    /// A load on `--to` for `--seconds`, over as many connections as `count` says.
    pub fn load(&self, count: &str) -> Option<Load> {
        let connections = self.one(count).filter(|count| *count > 0)?;
        let time = Duration::from_secs(self.one("--seconds")? as u64);
        Some(Load { to: self.port("--to")?, connections, time })
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn read(line: &str) -> Option<Options> {
        Options::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_found_by_name() {
        let options = read("--port 1 --port 2 --to 3").unwrap();
        assert_eq!(options.ports("--port"), Some(vec![1, 2]));
        assert_eq!(options.port("--to"), Some(3));
        assert!(options.port("--port").is_none(), "two where one is wanted");
        assert!(options.ports("--listen").is_none());
        assert!(read("--to 70000").unwrap().port("--to").is_none());
    }

    #[test]
    fn what_is_no_number_is_no_option() {
        assert!(read("--port").is_none());
        assert!(read("--port http").is_none());
    }
}
