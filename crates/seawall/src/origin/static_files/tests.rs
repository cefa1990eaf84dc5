use super::*;
use crate::origin::testing::{ask, field, status};
use std::fs;
use std::os::unix::fs::symlink;

struct Site {
    dir: tempfile::TempDir,
    outside: tempfile::TempDir,
    origin: StaticOrigin,
}

fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    put("index.html", b"<h1>home</h1>");
    put("a b.txt", b"0123456789");
    put("docs/index.html", b"docs");
    put("docs/picture.png", b"png");
    put("empty", b"");
    put(".env", b"secret");
    put(".git/config", b"secret");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    put("big.bin", &big);
    fs::create_dir(dir.path().join("bare")).unwrap();
    fs::write(outside.path().join("passwd"), "secret").unwrap();
    symlink(outside.path().join("passwd"), dir.path().join("leak")).unwrap();
    symlink(outside.path(), dir.path().join("leaks")).unwrap();
    symlink(".env", dir.path().join("alias")).unwrap();
    symlink("a b.txt", dir.path().join("link.txt")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let origin = StaticOrigin::start(any, dir.path(), Duration::from_secs(60)).unwrap();
    Site {
        dir,
        outside,
        origin,
    }
}

impl Site {
    fn ask(&self, method: &str, path: &str, fields: &str) -> (String, Vec<u8>) {
        ask(self.origin.address(), method, path, fields, b"")
    }

    fn get(&self, path: &str, fields: &str) -> (String, Vec<u8>) {
        self.ask("GET", path, fields)
    }
}

#[test]
fn a_file_comes_with_type_validators_and_max_age() {
    let site = site();
    let (head, body) = site.get("/a%20b.txt", "");
    assert_eq!((status(&head), &*body), (200, &b"0123456789"[..]));
    assert_eq!(
        field(&head, "content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(field(&head, "cache-control"), Some("max-age=60"));
    assert_eq!(field(&head, "content-length"), Some("10"));
    assert!(field(&head, "etag").unwrap().starts_with('"'));
    assert!(field(&head, "last-modified").unwrap().ends_with("GMT"));
    let (head, _) = site.get("/docs/picture.png", "");
    assert_eq!(field(&head, "content-type"), Some("image/png"));
    let (head, body) = site.get("/empty", "");
    assert_eq!((status(&head), body.len()), (200, 0));
    assert_eq!(
        field(&head, "content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(site.origin.requests(), 3);
}

#[test]
fn index_html_answers_for_a_directory_and_a_missing_slash_is_redirected() {
    let site = site();
    assert_eq!(site.get("/", "").1, b"<h1>home</h1>");
    assert_eq!(site.get("/docs/", "").1, b"docs");
    let (head, _) = site.get("/docs?page=2", "");
    assert_eq!(status(&head), 301);
    assert_eq!(field(&head, "location"), Some("/docs/?page=2"));
    assert_eq!(status(&site.get("/bare/", "").0), 404);
    assert_eq!(status(&site.get("/index.html/", "").0), 404);
}

#[test]
fn dotfiles_and_what_lies_outside_do_not_exist() {
    let site = site();
    for path in [
        "/.env",
        "/.git/config",
        "/.git",
        "/alias",
        "/leak",
        "/leaks/passwd",
        "/leaks",
        "/leaks/",
        "/loop",
        "/missing",
        "/../passwd",
        "/%2e%2e/passwd",
        "/docs/..%2f.env",
        "/docs//index.html",
        "/a%00",
    ] {
        let (head, body) = site.get(path, "");
        assert_eq!(status(&head), 404, "{path}");
        assert!(!String::from_utf8_lossy(&body).contains("secret"), "{path}");
    }
    let name = site.outside.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(status(&site.get(&format!("/../{name}/passwd"), "").0), 404);
}

#[test]
fn a_link_that_stays_inside_is_followed() {
    assert_eq!(site().get("/link.txt", "").1, b"0123456789");
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let site = site();
    let (get, _) = site.get("/a%20b.txt", "");
    let (head, body) = site.ask("HEAD", "/a%20b.txt", "");
    assert!(body.is_empty());
    for name in ["etag", "content-length", "content-type", "last-modified"] {
        assert_eq!(field(&get, name), field(&head, name), "{name}");
    }
}

#[test]
fn other_methods_are_told_what_is_allowed() {
    let (head, _) = site().ask("DELETE", "/a%20b.txt", "");
    assert_eq!(
        (status(&head), field(&head, "allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn conditions_are_judged() {
    let site = site();
    let (whole, _) = site.get("/a%20b.txt", "");
    let etag = field(&whole, "etag").unwrap();
    let date = field(&whole, "last-modified").unwrap();
    let check = |fields: &str, expect: u16| {
        let (head, body) = site.get("/a%20b.txt", fields);
        assert_eq!(status(&head), expect, "{fields}");
        assert_eq!(body.is_empty(), expect != 200, "{fields}");
        if expect == 304 {
            assert_eq!(field(&head, "etag"), Some(etag));
            assert_eq!(field(&head, "content-length"), None);
        }
    };
    check(&format!("if-none-match: {etag}\r\n"), 304);
    check(&format!("if-modified-since: {date}\r\n"), 304);
    check("if-none-match: \"other\"\r\n", 200);
    check("if-match: \"other\"\r\n", 412);
    check(&format!("if-match: {etag}\r\n"), 200);
}

#[test]
fn ranges_are_cut_and_if_range_is_judged() {
    let site = site();
    let check = |fields: &str, expect: u16, bytes: &[u8], range: Option<&str>| {
        let (head, body) = site.get("/a%20b.txt", fields);
        assert_eq!((status(&head), &*body), (expect, bytes), "{fields}");
        assert_eq!(field(&head, "content-range"), range, "{fields}");
    };
    check("range: bytes=2-4\r\n", 206, b"234", Some("bytes 2-4/10"));
    check("range: bytes=-3\r\n", 206, b"789", Some("bytes 7-9/10"));
    check("range: bytes=20-\r\n", 416, b"", Some("bytes */10"));
    check("range: bytes=0-0,5-5\r\n", 200, b"0123456789", None);
    check(
        "range: bytes=2-4\r\nif-range: \"other\"\r\n",
        200,
        b"0123456789",
        None,
    );
}

#[test]
fn a_big_file_is_streamed_whole_and_in_parts() {
    let site = site();
    let expect = fs::read(site.dir.path().join("big.bin")).unwrap();
    let (_, body) = site.get("/big.bin", "");
    assert!(body == expect);
    let (_, body) = site.get("/big.bin", "range: bytes=100000-2900000\r\n");
    assert!(body == expect[100_000..=2_900_000]);
}

#[test]
fn a_new_content_has_a_new_entity_tag() {
    let site = site();
    let (before, _) = site.get("/a%20b.txt", "");
    fs::write(site.dir.path().join("new"), "9876543210").unwrap();
    fs::rename(site.dir.path().join("new"), site.dir.path().join("a b.txt")).unwrap();
    let (after, body) = site.get("/a%20b.txt", "");
    assert_eq!(body, b"9876543210");
    assert_ne!(field(&before, "etag"), field(&after, "etag"));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_cuts_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, vec![7; 1_000_000]).unwrap();
    let file = File::open(&path).unwrap();
    let stamp = Stamp::of(&file.metadata().unwrap());
    let mut rest = Rest {
        opened: Opened { file, stamp },
        at: 0,
        end: 1_000_000,
    };
    assert_eq!(rest.read(FIRST_READ).unwrap().len() as u64, FIRST_READ);
    fs::write(&path, vec![8; 300_000]).unwrap();
    let error = std::iter::repeat_with(|| rest.read(READ))
        .find_map(Result::err)
        .unwrap();
    assert!(changed(&error), "{error}");
}

#[test]
fn a_directory_that_is_missing_is_told_at_the_start() {
    let any = "127.0.0.1:0".parse().unwrap();
    let error = StaticOrigin::start(any, Path::new("/no/such/dir"), Duration::ZERO).unwrap_err();
    let line = error.to_string();
    assert!(
        line.contains("/no/such/dir") && !line.contains('\n'),
        "{line}"
    );
}
