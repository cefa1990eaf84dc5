//! What is cached and purged: objects in sections, with tags, whose versions the origin stamps its answers with.

use crate::random::{Random, Zipf};
use seawall_tests::judge::Strength;
use seawall_tests::{Origin, Reply, Request, Then};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) const OBJECTS: usize = 200;
const SECTIONS: usize = 10;
const TAGS: usize = 25;
pub(crate) const HOST: &str = "www.example";

/// The objects, and how the origin is.
pub(crate) struct Site {
    versions: Vec<AtomicU64>,
    /// The origin answers every other request with 503.
    pub(crate) errs: AtomicBool,
    asked: AtomicU64,
    begun: Instant,
    zipf: Zipf,
}

/// A purge as it will be asked for.
pub(crate) struct Purge {
    pub(crate) strength: Strength,
    named: Value,
    /// What it covers, each with the version that the origin has from before the purge on.
    pub(crate) covers: Vec<(usize, u64)>,
}

impl Site {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            versions: (0..OBJECTS).map(|_| AtomicU64::new(1)).collect(),
            errs: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            begun: Instant::now(),
            zipf: Zipf::new(OBJECTS),
        })
    }

    pub(crate) fn origin(self: &Arc<Self>) -> Origin {
        let site = self.clone();
        Origin::start(move |request, reply| site.answer(request, reply))
    }

    pub(crate) fn object(&self, random: &mut Random) -> usize {
        self.zipf.pick(random)
    }

    /// Body: object, version, and when it was produced, in microseconds of the run; the rest is padding.
    fn answer(&self, request: &Request, reply: &mut Reply<'_>) -> Then {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let object = request.target.rsplit('/').next();
        let Some(object) = object.and_then(|object| object.parse::<usize>().ok()) else {
            return reply.answer(404, &[], b"");
        };
        let version = self.versions[object].load(Ordering::SeqCst);
        let produced = self.begun.elapsed().as_micros();
        if asked.is_multiple_of(4) {
            // fills that last while purges arrive
            std::thread::sleep(Duration::from_millis(asked % 12));
        }
        if self.errs.load(Ordering::Relaxed) && asked.is_multiple_of(2) {
            return reply.answer(503, &[("cache-control", "no-store")], b"down");
        }
        let control = match object % 3 {
            0 => "max-age=3600",
            1 => "max-age=3600, stale-while-revalidate=60",
            _ => "max-age=3600, stale-if-error=60",
        };
        let (etag, tag) = (format!("\"{version}\""), format!("t{}", object % TAGS));
        let fields = [
            ("cache-control", control),
            ("etag", &etag),
            ("surrogate-key", &tag),
        ];
        if request.field("if-none-match") == Some(&etag) {
            return reply.answer(304, &fields, b"");
        }
        let mut body = format!("{object} {version} {produced} ").into_bytes();
        // some of several records on disk
        body.resize(if object % 20 == 7 { 80_000 } else { 2000 }, b'.');
        reply.answer(200, &fields, &body)
    }

    /// Chooses what is purged, and has the origin change it. A soft purge may meet what has not changed: then a 304
    /// makes it fresh again, and nothing can be told from versions.
    pub(crate) fn purge(&self, random: &mut Random) -> Purge {
        let object = self.object(random);
        let all = 0..OBJECTS;
        let (named, covers): (Value, Vec<usize>) = match random.below(200) {
            0..120 => (
                json!({ "urls": [format!("http://{HOST}{}", path(object))] }),
                vec![object],
            ),
            120..170 => {
                let tag = object % TAGS;
                let covers = all.filter(|object| object % TAGS == tag);
                (json!({ "tags": [format!("t{tag}")] }), covers.collect())
            }
            170..197 => {
                let section = object % SECTIONS;
                let covers = all.filter(|object| object % SECTIONS == section);
                let named = json!({ "prefixes": [format!("{HOST}/s{section}")] });
                (named, covers.collect())
            }
            _ => (json!({ "everything": true }), all.collect()),
        };
        let strength = if random.below(10) < 3 {
            Strength::Soft
        } else {
            Strength::Hard
        };
        let changes = u64::from(strength == Strength::Hard || random.one_in(2));
        let covers = covers.into_iter().map(|object| {
            let version = self.versions[object].fetch_add(changes, Ordering::SeqCst);
            (object, version + changes)
        });
        Purge {
            strength,
            named,
            covers: covers.collect(),
        }
    }
}

impl Purge {
    /// The body of the request, which waits for so long.
    pub(crate) fn asked(&self, wait: Duration) -> String {
        let mut asked = self.named.clone();
        asked["wait_ms"] = json!(wait.as_millis() as u64);
        asked["soft"] = json!(self.strength == Strength::Soft);
        asked.to_string()
    }

    pub(crate) fn named(&self) -> &Value {
        &self.named
    }
}

pub(crate) fn path(object: usize) -> String {
    format!("/s{}/{object}", object % SECTIONS)
}
