use super::*;
use crate::origin::testing::{ask, field, status};

fn start() -> DemoOrigin {
    DemoOrigin::start("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn get(origin: &DemoOrigin, path: &str, fields: &str) -> (String, Vec<u8>) {
    ask(origin.address(), "GET", path, fields, b"")
}

#[test]
fn each_address_says_how_it_may_be_cached() {
    let origin = start();
    for (path, control, tags) in [
        ("/", "max-age=60", Some("demo home")),
        ("/image", "max-age=3600", Some("demo image")),
        (
            "/api/time",
            "max-age=5, stale-while-revalidate=30",
            Some("demo api"),
        ),
        ("/private", "no-store", None),
        ("/articles/7", "max-age=600", Some("articles article-7")),
        ("/bytes/3", "max-age=3600", Some("demo bytes")),
    ] {
        let (head, _) = get(&origin, path, "");
        assert_eq!(status(&head), 200, "{path}");
        assert_eq!(field(&head, "cache-control"), Some(control), "{path}");
        assert_eq!(field(&head, "surrogate-key"), tags, "{path}");
        assert!(field(&head, "etag").is_some(), "{path}");
    }
}

#[test]
fn what_does_not_exist_says_so() {
    let origin = start();
    for path in [
        "/nothing",
        "/bytes/x",
        "/bytes/1073741825",
        "/articles/0",
        "/articles/",
    ] {
        assert_eq!(status(&get(&origin, path, "").0), 404, "{path}");
    }
}

#[test]
fn bytes_are_the_same_whole_and_in_parts() {
    let origin = start();
    let (_, whole) = get(&origin, "/bytes/200000", "");
    assert_eq!(whole.len(), 200_000);
    let (head, part) = get(&origin, "/bytes/200000", "range: bytes=70001-190000\r\n");
    assert_eq!(status(&head), 206);
    assert!(part == whole[70_001..=190_000]);
    assert_eq!(get(&origin, "/bytes/0", "").1, b"");
}

#[test]
fn a_page_is_validated_by_its_entity_tag() {
    let origin = start();
    let (head, _) = get(&origin, "/", "");
    let condition = format!("if-none-match: {}\r\n", field(&head, "etag").unwrap());
    assert_eq!(status(&get(&origin, "/", &condition).0), 304);
}

#[test]
fn the_request_is_shown_and_a_body_is_echoed() {
    let origin = start();
    let (_, body) = get(&origin, "/headers?x=1", "x-test: yes\r\n");
    let text = String::from_utf8(body).unwrap();
    assert!(text.starts_with("GET /headers?x=1\n") && text.contains("x-test: yes\n"));
    let fields = "content-length: 5\r\ncontent-type: text/plain\r\n";
    let (head, body) = ask(origin.address(), "POST", "/echo", fields, b"hello");
    assert_eq!((status(&head), &*body), (200, &b"hello"[..]));
    assert_eq!(status(&get(&origin, "/echo", "").0), 405);
}

#[test]
fn a_slow_answer_is_made_anew_for_each_request() {
    let origin = start();
    let (first, second) = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| get(&origin, "/slow", "").1);
        let (first, second) = (ask(), ask());
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_ne!(first, second);
}
