use super::*;

fn request(lines: &str) -> Head {
    let text = format!("{lines}Host: a\r\n\r\n");
    let parsed = wire::parse_request(text.as_bytes(), &mut 0, &wire::Rules::default(), &mut wire::Pages::default());
    let wire::Parsed::Done { head, .. } = parsed else { panic!("{parsed:?}") };
    head
}

fn rendered(answer: &Answer, lines: &str, page: Option<&Page>) -> (String, String) {
    let head = request(lines);
    let bytes = answer.render(&Asker { request: Some(&head), id: b"id", keep_alive: true, page, fields: None });
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

fn busy() -> Answer {
    Answer {
        error: Some("destination_unavailable"),
        retry_after: Some(1),
        ..Answer::line(503, "No backend is available for this request.")
    }
}

fn page(content_type: &str, body: &[u8]) -> Page {
    Page { content_type: content_type.into(), body: body.into() }
}

fn html() -> Page {
    page("text/html", b"<p>busy")
}

const GET: &str = "GET / HTTP/1.1\r\n";
const JSON: &str = "GET / HTTP/1.1\r\nAccept: text/html;q=0.5, application/json;q=0.9\r\n";

#[test]
fn people_get_a_line_and_programs_json() {
    let (head, body) = rendered(&busy(), GET, None);
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n"));
    assert!(
        head.contains("\r\nx-request-id: id\r\nproxy-status: pylb; error=destination_unavailable\r\nretry-after: 1")
    );
    assert_eq!(body, "503 Service Unavailable: No backend is available for this request.\n");
    let (head, body) = rendered(&busy(), JSON, None);
    assert!(head.contains("content-type: application/json\r\n"));
    let fields: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((fields["status"].as_u64(), fields["request_id"].as_str()), (Some(503), Some("id")));
    for refused in ["q=0", " Q=0.000", "charset=utf-8;q=0."] {
        let lines = format!("GET / HTTP/1.1\r\nAccept: text/html, application/json;{refused}\r\n");
        assert!(rendered(&busy(), &lines, None).1.starts_with("503"), "{refused}");
    }
    assert!(rendered(&busy(), "GET / HTTP/1.1\r\nAccept: application/json;q=0.01\r\n", None).1.starts_with('{'));
}

#[test]
fn a_page_is_for_people_unless_it_is_json() {
    assert_eq!(rendered(&busy(), GET, Some(&html())).1, "<p>busy");
    assert!(rendered(&busy(), JSON, Some(&html())).1.starts_with('{'));
    let own = page("application/json; charset=utf-8", b"{}");
    assert_eq!(rendered(&busy(), JSON, Some(&own)).1, "{}");
}

#[test]
fn to_head_the_length_is_that_of_the_body_it_does_not_get() {
    let (head, body) = rendered(&busy(), "HEAD / HTTP/1.1\r\n", Some(&html()));
    assert!(head.contains("content-length: 7\r\n"), "{head}");
    assert_eq!(body, "");
}

#[test]
fn a_client_of_http_1_0_is_told_that_the_connection_stays() {
    let (head, _) = rendered(&busy(), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n", None);
    assert!(head.ends_with("\r\nconnection: keep-alive"), "{head}");
}

#[test]
fn grpc_clients_find_the_status_in_the_head() {
    for (asked, answered) in [
        ("application/grpc", "application/grpc"),
        ("Application/gRPC+proto; x=y", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
    ] {
        let lines = format!("POST /s/M HTTP/1.1\r\nContent-Type: {asked}\r\nAccept: application/json\r\n");
        let (head, body) = rendered(&busy(), &lines, Some(&html()));
        assert!(head.starts_with(&format!("HTTP/1.1 200 OK\r\ncontent-type: {answered}\r\ncontent-length: 0\r\n")));
        assert!(head.contains("\r\ngrpc-status: 14\r\ngrpc-message: No backend is available for this request.\r\n"));
        assert!(head.contains("proxy-status: pylb; error=destination_unavailable\r\nretry-after: 1"));
        assert_eq!(body, "");
    }
    for other in ["application/grpcish", "application/grpc-x", "application/json", "text/application/grpc"] {
        let (head, _) = rendered(&busy(), &format!("POST / HTTP/1.1\r\nContent-Type: {other}\r\n"), None);
        assert!(head.starts_with("HTTP/1.1 503 "), "{other}");
    }
}

#[test]
fn what_is_configured_is_said_as_configured() {
    let pong = page("text/plain", b"pong");
    let answer = Answer { body: Body::Page, ..Answer::line(200, "") };
    let (head, body) = rendered(&answer, JSON, Some(&pong));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n"), "{head}");
    assert_eq!(body, "pong");
    let (head, body) = rendered(&Answer { status: 204, ..answer }, GET, Some(&pong));
    assert!(!head.contains("content-") && body.is_empty(), "{head}");
}

#[test]
fn redirects_and_limits_have_their_fields() {
    let moved = Answer { location: Some(b"https://a/b?c".to_vec()), ..Answer::line(308, "This moved.") };
    assert!(rendered(&moved, GET, None).0.contains("\r\nlocation: https://a/b?c"));
    let rate = RateLimit { limit: 200, window: 2, remaining: 0, reset: 1 };
    let (head, _) = rendered(&Answer { rate: Some(rate), ..Answer::line(429, "Slow down.") }, GET, None);
    assert!(head.contains("\r\nRateLimit-Policy: \"default\";q=200;w=2\r\nRateLimit: \"default\";r=0;t=1"), "{head}");
}

#[test]
fn what_the_route_changes_is_changed_here_too() {
    let mut fields = FieldEdits::default();
    fields.set(wire::Heads::Responses, b"Access-Control-Allow-Origin", b"*").expect("an edit");
    fields.remove(wire::Heads::Responses, b"x-request-id").expect("an edit");
    let head = request(GET);
    let asker = Asker { request: Some(&head), id: b"id", keep_alive: true, page: None, fields: Some(&fields) };
    let text = String::from_utf8(busy().render(&asker)).expect("text");
    assert!(text.contains("\r\nAccess-Control-Allow-Origin: *\r\n\r\n503"), "{text}");
    assert!(!text.contains("x-request-id"));
}
