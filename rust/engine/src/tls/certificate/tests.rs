use super::*;
use crate::tls::provider;
use crate::tls::workshop::{Authority, DAY, Issued, Wish, now};

fn judged(cert: &str, key: &str) -> Result<Certified, Vec<(bool, String)>> {
    let cert = Source { name: "/x/shop.pem", bytes: cert.as_bytes() };
    let key = Source { name: "/x/shop.key", bytes: key.as_bytes() };
    certified(provider(), cert, key, now())
        .map_err(|flaws| flaws.into_iter().map(|it| (it.of_key, it.message)).collect())
}

fn flaws(issued: &Issued) -> Vec<(bool, String)> {
    judged(&issued.cert, &issued.key).expect_err("it is not fit")
}

#[test]
fn a_good_pair_has_names_and_an_end() {
    let issued = Authority::new("a").issue(&Wish::server(&["Shop.Example", "*.shop.example", "10.0.0.1"]));
    let certified = judged(&issued.cert, &issued.key).expect("it is fit");
    assert_eq!(certified.names, ["shop.example".into(), "*.shop.example".into()]);
    assert_eq!(certified.not_after / 60, (now().as_secs() + 90 * DAY as u64) / 60);
    let one_file = format!("{}{}", issued.key, issued.cert);
    judged(&one_file, &one_file).expect("both in one file are fit");
}

#[test]
fn everything_wrong_is_said_at_once() {
    assert_eq!(
        judged("-----BEGIN NOTHING-----\n-----END NOTHING-----\n", "").expect_err("nothing there"),
        [
            (false, "there is no certificate in `/x/shop.pem`".to_owned()),
            (true, "there is no private key in `/x/shop.key`: it is empty".to_owned()),
        ]
    );
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new("a");
    let (one, other) = (authority.issue(&Wish::server(&["a"])), authority.issue(&Wish::server(&["b"])));
    let mixed = Issued { cert: one.cert.clone(), key: other.key.clone() };
    let message = "`/x/shop.key` does not belong to the certificate in `/x/shop.pem`";
    assert_eq!(flaws(&mixed), [(true, message.to_owned())]);
    let swapped = Issued { cert: one.cert + &other.cert, key: other.key };
    let message = "`/x/shop.key` belongs to certificate 2 in `/x/shop.pem`; that has to be the first";
    assert_eq!(flaws(&swapped), [(true, message.to_owned())]);
}

#[test]
fn a_certificate_has_its_time() {
    let authority = Authority::new("a");
    let over = authority.issue(&Wish { to: -60, ..Wish::server(&["a"]) });
    assert!(flaws(&over)[0].1.starts_with("`/x/shop.pem` expired on 20"), "{:?}", flaws(&over));
    let early = authority.issue(&Wish { from: DAY, ..Wish::server(&["a"]) });
    assert!(flaws(&early)[0].1.starts_with("`/x/shop.pem` is not valid before 20"), "{:?}", flaws(&early));
}

#[test]
fn keys_with_passwords_and_keys_in_pieces_are_named() {
    let issued = Authority::new("a").issue(&Wish::server(&["a"]));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let found = judged(&issued.cert, encrypted).expect_err("it has a password");
    assert!(found[0].1.starts_with("the key in `/x/shop.key` has a password"), "{found:?}");
    let cut = &issued.key[..issued.key.len() / 2];
    let found = judged(&issued.cert, cut).expect_err("it is cut");
    assert_eq!(found, [(true, "`/x/shop.key` is not whole: a line -----END is missing".to_owned())]);
    let cut = &issued.cert[..issued.cert.len() / 2];
    let found = judged(cut, &issued.key).expect_err("it is cut");
    assert_eq!(found, [(false, "`/x/shop.pem` is not whole: a line -----END is missing".to_owned())]);
}

#[test]
fn a_client_is_described_for_headers() {
    let issued = Authority::new("a").issue(&Wish::client(&["alice.example", "::1"]));
    let der = CertificateDer::from_pem_slice(issued.cert.as_bytes()).expect("a certificate");
    let described = described(&der);
    assert_eq!(described.subject, "CN=a\\, \\\"certificate\\\"");
    assert_eq!(described.sans, ["DNS:alice.example", "IP:::1"]);
    assert_eq!(encoded("spiffe://a/b,c\r\nx: y"), "spiffe://a/b%2Cc%0D%0Ax:%20y");
    assert_eq!(super::described(b"nonsense"), ClientCertificate::default());
}
