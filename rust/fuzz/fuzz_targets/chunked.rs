//! Chunked bodies: no panic, and where the bytes are split makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{BodyReader, Fault, Framing};

type Outcome = Result<(Vec<u8>, usize, bool, Option<Vec<u8>>), Fault>;

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    let split = read(bytes, usize::from(step).max(1));
    match (whole, split) {
        (Ok(whole), Ok(split)) => assert_eq!(whole, split),
        (Err(whole), Err(split)) => assert_eq!(whole, split),
        (whole, split) => panic!("{whole:?} and {split:?}"),
    }
});

fn read(bytes: &[u8], step: usize) -> Outcome {
    let mut reader = BodyReader::new(Framing::Chunked);
    let (mut data, mut used) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        let mut piece = piece.to_vec();
        let taken = reader.read(&mut piece)?;
        assert!(taken.used == piece.len() || taken.last);
        data.extend_from_slice(&piece[taken.data]);
        used += taken.used;
        if taken.last {
            break;
        }
    }
    Ok((data, used, reader.is_done(), reader.trailers()))
}
