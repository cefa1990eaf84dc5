//! `seawall explain`: what it prints, how it ends.

use crate::cdn::{Cdn, tell_at};
use crate::running::{run, stderr};
use std::net::TcpListener;

#[test]
fn a_url_is_explained_in_lines_for_people_and_in_json_for_scripts() {
    let cdn = Cdn::start();
    let url = "http://a/x?b";
    let told = cdn.tell(&["explain", url], 0);
    assert!(told.contains("edge-1 (edge): miss, fwd=uri-miss"), "{told}");
    cdn.warm("/x?b");
    let told = cdn.tell(&["explain", url, "--header", "Accept-Language: de"], 0);
    for expected in [
        "service   site",
        "query b",
        "shield-1 owns the key",
        "edge-1 (edge): hit",
        "lifetime  3600 s (max-age) - age ",
        "cache-control: max-age=3600",
        "no purge covers the copy, which was asked for at 0",
        "GET 200 miss, fwd=uri-miss, fwd-status=200, stored",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let told = cdn.json(&["explain", url, "--header", "Cache-Control: no-cache"]);
    let nodes = told["nodes"].as_array().unwrap();
    let edge = nodes.iter().find(|node| node["node"] == "edge-1").unwrap();
    assert_eq!(edge["forward"], "request", "{edge}");
    assert_eq!(told["silent"].as_array().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_explained_says_why() {
    let cdn = Cdn::start();
    let told = cdn.tell(&["explain", "www.example.com"], 1);
    assert!(told.contains("url: a URL begins with"), "{told}");
    for args in [&["explain"][..], &["explain", "http://a/", "--header", "x"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!stderr(&output).is_empty());
    }
    let token = cdn.file("token", "t");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let args = ["explain", "http://a/", "--token-file", &token];
    let told = tell_at(&nobody, &args, 1);
    assert!(told.contains(&nobody), "{told}");
}
