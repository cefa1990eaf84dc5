//! A whole site, twice: every byte the file's, the second time from the cache.
//!
//! `SEAWALL_SITE=PATH` crawls a real directory instead of a generated one (at most `SEAWALL_SITE_PAGES` files of it,
//! 2,500 by default), through the edge at `SEAWALL_SITE_EDGE` if that is set.

use seawall::origin::StaticOrigin;
use seawall_tests::{Client, ClusterSpec};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn files_below(dir: &Path, max: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap()).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().unwrap();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() && found.len() < max {
                found.push(entry.path());
            }
        }
    }
    found
}

fn target_of(root: &Path, file: &Path) -> String {
    let path = file.strip_prefix(root).unwrap().to_str().unwrap();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&b);
    let encode = |b: u8| {
        if legal(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    format!("/{}", path.bytes().map(encode).collect::<String>())
}

/// A tree of files of many sizes and names.
fn generated() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for i in 0..300u32 {
        let dir = root
            .path()
            .join(format!("d{}", i % 7))
            .join(format!("e{}", i % 3));
        fs::create_dir_all(&dir).unwrap();
        let length = match i % 5 {
            0 => 0,
            1 => 17,
            2 => 1500 + i as usize,
            3 => 64 * 1024 + i as usize - 150,
            _ => 300_000 + i as usize,
        };
        let name = [
            "page.html",
            "style.css",
            "data.json",
            "picture.png",
            "a b%c.txt",
        ][i as usize % 5];
        let body: Vec<u8> = (0..length)
            .map(|k| (k as u32 * (i + 3) % 251) as u8)
            .collect();
        fs::write(dir.join(format!("{i}-{name}")), body).unwrap();
    }
    root
}

#[test]
fn a_site_is_crawled_twice_and_every_byte_is_the_files_and_the_origin_asked_once_a_file() {
    let made;
    let root = match std::env::var_os("SEAWALL_SITE") {
        Some(path) => PathBuf::from(path),
        None => {
            made = generated();
            made.path().to_owned()
        }
    };
    let max = std::env::var("SEAWALL_SITE_PAGES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2500);
    let files = files_below(&root, max);
    let loopback = ([127, 0, 0, 1], 0).into();
    let origin = StaticOrigin::start(loopback, &root, Duration::from_secs(3600)).unwrap();
    let cluster = ClusterSpec::new(origin.address()).start();
    let outside = std::env::var("SEAWALL_SITE_EDGE").ok();
    let edge = outside
        .as_ref()
        .map_or_else(|| cluster.edge(0), |e| e.parse().unwrap());

    let mut rates = Vec::new();
    for round in 0..2 {
        let began = Instant::now();
        let (mut hits, mut client) = (0, Client::connect(edge));
        for file in &files {
            let answer = client.get(&target_of(&root, file), &[]);
            assert_eq!(answer.status, 200, "{}", file.display());
            assert!(
                answer.body == fs::read(file).unwrap(),
                "{} differs",
                file.display()
            );
            hits += usize::from(answer.is_hit());
        }
        println!(
            "round {round}: {} files, {hits} hits, {:?}",
            files.len(),
            began.elapsed()
        );
        rates.push(hits as f64 / files.len() as f64);
    }

    assert!(rates[1] >= 0.99, "{rates:?}");
    if outside.is_none() {
        assert_eq!(origin.requests(), files.len() as u64);
    }
}
