//! Bodies: bytes in, bytes out, in the order they happen.

use super::*;

/// Feeds `pieces` and returns the data and whether the body ended.
fn read(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), Rule> {
    let mut reader = BodyReader::new(framing);
    let mut data = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let taken = reader.read(&mut bytes).map_err(|fault| fault.kind())?;
        assert!(taken.used == bytes.len() || taken.last, "bytes may be left only behind the end");
        data.extend_from_slice(&bytes[taken.data]);
    }
    Ok((data, reader.is_done()))
}

fn chunked(text: &str) -> Result<(String, bool), Rule> {
    let whole = read(Framing::Chunked, &[text.as_bytes()]);
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(whole, read(Framing::Chunked, &bytes), "byte by byte");
    whole.map(|(data, done)| (String::from_utf8(data).unwrap(), done))
}

#[test]
fn lengths_end_where_they_say() {
    assert_eq!(read(Framing::Length(5), &[b"he", b"llo"]), Ok((b"hello".to_vec(), true)));
    let mut bytes = *b"helloGET";
    let taken = BodyReader::new(Framing::Length(5)).read(&mut bytes).unwrap();
    assert_eq!(taken, Taken { data: 0..5, used: 5, last: true });
    assert!(BodyReader::new(Framing::Length(0)).is_done());
    assert!(BodyReader::new(Framing::Empty).is_done());
}

#[test]
fn chunks_are_joined_in_place() {
    let mut bytes = *b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\nGET ";
    let mut reader = BodyReader::new(Framing::Chunked);
    let taken = reader.read(&mut bytes).unwrap();
    assert_eq!(&bytes[taken.data], b"hello world");
    assert_eq!((taken.used, taken.last), (30, true));
    assert_eq!(&bytes[30..], b"GET ");
}

#[test]
fn good_chunks() {
    assert_eq!(chunked("0\r\n\r\n"), Ok((String::new(), true)));
    assert_eq!(chunked("000a\r\n0123456789\r\n0\r\n\r\n"), Ok(("0123456789".into(), true)));
    assert_eq!(chunked("A;name=\"v;\"\r\n0123456789\r\n00;a\r\n\r\n"), Ok(("0123456789".into(), true)));
    assert_eq!(chunked("5\r\nhel"), Ok(("hel".into(), false)));
    assert_eq!(chunked("ffffffffffffffff\r\nhel"), Ok(("hel".into(), false)));
}

#[test]
fn bad_chunks() {
    for size in ["0x5", "+5", " 5", "-5", "", "5 ", "5\t", "5 ;x", "00000000000000005", "g", ";x", "5_0", "5."] {
        assert_eq!(chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")), Err(Rule::BadChunkSize), "{size:?}");
    }
    for (text, rule) in [
        ("5\nhello\r\n0\r\n\r\n", Rule::BareLf),
        ("5;x\nhello\r\n0\r\n\r\n", Rule::BareLf),
        ("5\rhello", Rule::BareCr),
        ("5;a\rb\r\nhello", Rule::BareCr),
        ("5;a\0b\r\nhello", Rule::BadChunkExtension),
        ("5\r\nhello\n0\r\n\r\n", Rule::BadChunkEnd),
        ("5\r\nhelloo\r\n", Rule::BadChunkEnd),
        ("5\r\nhello0\r\n\r\n", Rule::BadChunkEnd),
        ("5\r\nhello\r0\r\n", Rule::BadChunkEnd),
        ("0\r\n\n", Rule::BareLf),
        ("0\r\n\rx", Rule::BareCr),
        ("0\r\na: b\n\r\n", Rule::BareLf),
        ("0\r\na: b\rc\r\n\r\n", Rule::BareCr),
        ("0\r\na\r\n\r\n", Rule::MissingColon),
        ("0\r\na : b\r\n\r\n", Rule::SpaceBeforeColon),
        ("0\r\n a: b\r\n\r\n", Rule::SpaceBeforeField),
        ("0\r\na: b\r\n c\r\n\r\n", Rule::ObsFold),
        ("0\r\na: \x01\r\n\r\n", Rule::ControlByte),
        ("0\r\na(: b\r\n\r\n", Rule::BadFieldName),
    ] {
        assert_eq!(chunked(text), Err(rule), "{text:?}");
    }
}

#[test]
fn chunk_limits() {
    let line = |length: usize| format!("5;{}\r\nhello\r\n", "x".repeat(length));
    assert!(chunked(&line(254)).is_ok());
    assert_eq!(chunked(&line(255)), Err(Rule::ChunkLineTooLong));
    assert!(chunked(&line(203).repeat(20)).is_ok());
    assert_eq!(chunked(&line(204).repeat(20)), Err(Rule::ChunkExtensionsTooLarge));
}

fn trailers(text: &str) -> Result<Option<String>, Rule> {
    let mut reader = BodyReader::new(Framing::Chunked);
    let taken = reader.read(&mut text.as_bytes().to_vec()).map_err(|fault| fault.kind())?;
    assert!(taken.last);
    Ok(reader.trailers().map(|lines| String::from_utf8(lines).unwrap()))
}

#[test]
fn trailers_are_checked_and_sifted() {
    assert_eq!(trailers("0\r\n\r\n"), Ok(None));
    assert_eq!(
        trailers("0\r\nContent-Length: 5\r\nHost: b\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\n\r\n"),
        Ok(None)
    );
    assert_eq!(trailers("0\r\nX-Sum:1 \t\r\nHost: b\r\nY:\r\n\r\n"), Ok(Some("X-Sum: 1\r\nY: \r\n".into())));
    assert!(trailers(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(32))).is_ok());
    assert_eq!(trailers(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(33))), Err(Rule::TooManyTrailers));
    assert_eq!(trailers(&format!("0\r\na: {}\r\n\r\n", "b".repeat(8 << 10))), Err(Rule::TrailersTooLarge));
}

#[test]
fn the_end_of_the_stream_ends_only_a_body_until_close() {
    let mut reader = BodyReader::of_response(Framing::UntilClose);
    let taken = reader.read(&mut b"abc".to_vec()).unwrap();
    assert_eq!((taken.data, taken.last), (0..3, false));
    assert!(reader.end_of_input().is_ok() && reader.is_done());
    for framing in [Framing::Length(1), Framing::Chunked] {
        let fault = BodyReader::of_response(framing).end_of_input().unwrap_err();
        assert_eq!((fault.kind(), fault.blame(), fault.status()), (Rule::IncompleteBody, Blame::Backend, 502));
    }
    assert!(BodyReader::new(Framing::Empty).end_of_input().is_ok());
}

#[test]
fn a_reader_is_small() {
    assert!(size_of::<BodyReader>() <= 40, "{}", size_of::<BodyReader>());
}
