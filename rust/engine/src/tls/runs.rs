//! What is to be sent lies in several pieces: which of it becomes one record?
//!
//! A record costs some 200 ns and 22 to 29 bytes beside its contents, so a head and the body behind it share one, and
//! what is to be shared is copied. The rest of a long piece is encrypted from where it lies.

use std::io::IoSlice;

use super::session::RECORD;

/// Pieces that are being cut into runs.
pub(super) struct Runs<'a> {
    slices: &'a [IoSlice<'a>],
    /// Bytes of the first slice that have gone.
    gone: usize,
    joined: Vec<u8>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(slices: &'a [IoSlice<'a>]) -> Self {
        Runs { slices, gone: 0, joined: Vec::new() }
    }

    /// The next run, at most `room` bytes, which are a whole number of records; nothing is the end.
    pub(super) fn next(&mut self, room: usize) -> &[u8] {
        let Some((first, others)) = self.slices.split_first() else { return &[] };
        let first = &first[self.gone..];
        if first.len() >= RECORD || others.is_empty() {
            let whole = if others.is_empty() { first.len() } else { first.len() / RECORD * RECORD };
            let run = &first[..whole.min(room)];
            self.advance(run.len());
            return run;
        }
        self.join(RECORD.min(room));
        &self.joined
    }

    fn join(&mut self, most: usize) {
        self.joined.clear();
        while self.joined.len() < most
            && let Some(first) = self.slices.first()
        {
            let first = &first[self.gone..];
            let part = &first[..first.len().min(most - self.joined.len())];
            self.joined.extend_from_slice(part);
            self.advance(part.len());
        }
    }

    fn advance(&mut self, count: usize) {
        self.gone += count;
        while let Some(first) = self.slices.first()
            && self.gone >= first.len()
        {
            self.gone -= first.len();
            self.slices = &self.slices[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the runs of pieces of these lengths; what they hold is compared.
    fn runs(lengths: &[usize], room: usize) -> Vec<usize> {
        let bytes: Vec<u8> = (0..lengths.iter().sum()).map(|index: usize| (index % 251) as u8).collect();
        let mut rest = &bytes[..];
        let mut slices = Vec::new();
        for length in lengths {
            let (piece, behind) = rest.split_at(*length);
            slices.push(IoSlice::new(piece));
            rest = behind;
        }
        let (mut runs, mut seen, mut cut) = (Runs::new(&slices), Vec::new(), Vec::new());
        loop {
            let run = runs.next(room);
            if run.is_empty() {
                assert!(bytes == seen);
                return cut;
            }
            seen.extend_from_slice(run);
            cut.push(run.len());
        }
    }

    #[test]
    fn a_head_and_its_body_share_a_record() {
        let most = 4 * RECORD;
        assert!(runs(&[], most).is_empty());
        assert!(runs(&[0], most).is_empty());
        assert_eq!(runs(&[300], most), [300]);
        assert_eq!(runs(&[300, 5_000], most), [5_300]);
        assert_eq!(runs(&[0, 300, 0, 5_000, 2], most), [5_302]);
        assert_eq!(runs(&[300, 40_000], most), [RECORD, 40_300 - RECORD]);
        assert_eq!(runs(&[6, 40_000, 2], most), [RECORD, RECORD, 40_008 - 2 * RECORD]);
        assert_eq!(runs(&[100_000], most), [most, 100_000 - most]);
        assert_eq!(runs(&[RECORD, 1], most), [RECORD, 1]);
    }
}
