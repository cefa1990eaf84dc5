//! Responses and requests, drawn from a seed.

use super::origin::MODIFIED;

/// The steps of splitmix64 (Steele, Lea, Flood, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True this often in a hundred.
    fn often(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// How the origin tells where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    Trailers,
    Close,
}

pub(super) type Fields = Vec<(&'static str, String)>;

/// What the origin has at a URL.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) framing: Framing,
    /// Bytes of the content, before any coding.
    pub(super) length: usize,
    pub(super) gzip: bool,
    /// Bytes that come before the rest is held back.
    pub(super) first: usize,
    /// No `Date` is sent.
    pub(super) dateless: bool,
}

impl Resource {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn varies_by(&self, name: &str) -> bool {
        let lines = self.fields.iter().filter(|(n, _)| *n == "vary");
        lines
            .flat_map(|(_, line)| line.split(','))
            .any(|member| member.trim().eq_ignore_ascii_case(name))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) method: &'static str,
    pub(super) fields: Fields,
    pub(super) version: Version,
}

impl Question {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.fields.retain(|(name, _)| !names.contains(name));
        rest
    }
}

/// A response, the request that is compared, and the fields of the request that the copy comes for.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) resource: Resource,
    pub(super) question: Question,
    pub(super) leader: Fields,
}

pub(super) fn draw(random: &mut Random) -> Case {
    let resource = resource(random);
    let question = question(random, &resource);
    // the copy comes for one who would select the same, or for somebody else
    let selecting = ["accept-encoding", "accept-language"];
    let leader = if random.often(70) {
        let same = question.fields.iter();
        same.filter(|(name, _)| selecting.contains(name))
            .cloned()
            .collect()
    } else {
        preferences(random)
    };
    Case {
        resource,
        question,
        leader,
    }
}

const KIB: usize = 1 << 10;

fn resource(random: &mut Random) -> Resource {
    let mut fields = Fields::new();
    let mut add = |name: &'static str, value: &str| fields.push((name, value.to_owned()));
    let status = if random.often(75) {
        200
    } else {
        random.one_of(&[203, 204, 301, 302, 404, 410, 501])
    };
    // most may be stored
    let control = if random.often(70) {
        random.one_of(&[
            "max-age=3600",
            "public, max-age=3600",
            "s-maxage=3600",
            "max-age=3600, must-revalidate",
            "MAX-AGE=3600",
            "max-age=3600, private=\"x-own\"",
            "max-age=3600, no-transform",
            "max-age=3600, x-unknown=\"a, no-store\"",
        ])
    } else {
        random.one_of(&[
            "",
            "no-cache",
            "max-age=3600, no-cache=\"x-own\"",
            "no-store",
            "private, max-age=60",
            "max-age=0",
            "max-age=0, stale-while-revalidate=3600",
            "must-understand, no-store, max-age=3600",
        ])
    };
    if !control.is_empty() {
        add("cache-control", control);
    }
    if random.often(10) {
        add(
            "cdn-cache-control",
            random.one_of(&["max-age=1800", "no-store"]),
        );
    }
    if random.often(70) {
        add("etag", random.one_of(&["\"v1\"", "\"v1\"", "W/\"v1\""]));
    }
    if random.often(50) {
        add("last-modified", MODIFIED);
    }
    let vary = random.one_of(&[
        "",
        "",
        "",
        "accept-language",
        "Accept-Encoding",
        "accept-language, x-other",
        "*",
        "x-other",
    ]);
    if !vary.is_empty() {
        add("vary", vary);
    }
    if vary == "x-other" {
        add("vary", "Accept-Language");
    }
    let kind = random.one_of(&["text/html", "text/html", "application/octet-stream", ""]);
    if !kind.is_empty() {
        add("content-type", kind);
    }
    if random.often(15) {
        add("set-cookie", "a=b; path=/");
        add("set-cookie", "c=d");
    }
    if random.often(40) {
        add("x-own", "1");
        add("link", "</a>; rel=preload");
        add("Link", "</b>; rel=preload");
    }
    if random.often(20) {
        add("surrogate-key", "one two");
        add("connection", "x-hop");
        add("x-hop", "1");
    }
    if random.often(10) {
        add("content-language", "de");
        add("x-empty", "");
    }
    let gzip = random.often(15) && status != 204;
    if gzip {
        add("content-encoding", "gzip");
    }
    let length = match status {
        204 => 0,
        _ if random.often(85) => random.one_of(&[
            0,
            1,
            2,
            1000,
            5000,
            20_000,
            64 * KIB - 1,
            64 * KIB,
            64 * KIB + 1,
            100_000,
        ]),
        _ => random.one_of(&[
            256 * KIB - 1,
            256 * KIB,
            256 * KIB + 1,
            512 * KIB,
            (1 << 20) + 1,
        ]),
    };
    let framing = match status {
        204 => Framing::Length,
        _ => random.one_of(&[
            Framing::Length,
            Framing::Length,
            Framing::Length,
            Framing::Chunked,
            Framing::Trailers,
            Framing::Close,
        ]),
    };
    let first = random.one_of(&[1, 10, length / 2, length.saturating_sub(1)]);
    Resource {
        status,
        fields,
        framing,
        length,
        gzip,
        first: first.clamp(usize::from(length > 0), length.max(1)),
        dateless: random.often(20),
    }
}

fn preferences(random: &mut Random) -> Fields {
    let mut fields = Fields::new();
    if random.often(50) {
        let codings = random.one_of(&[
            "gzip",
            "br",
            "zstd",
            "gzip, br;q=0.5",
            "gzip;q=0",
            "identity;q=0.5, gzip;q=0.1",
            "identity;q=0, *",
            "*",
            "",
        ]);
        fields.push(("accept-encoding", codings.to_owned()));
    }
    if random.often(40) {
        let language = random.one_of(&["de", "en, de;q=0.5", "DE", ""]);
        fields.push(("accept-language", language.to_owned()));
    }
    fields
}

fn question(random: &mut Random, resource: &Resource) -> Question {
    let mut fields = preferences(random);
    let mut add = |name: &'static str, value: &str| fields.push((name, value.to_owned()));
    let length = resource.length;
    if random.often(45) {
        let (first, last) = (resource.first, length.saturating_sub(1));
        let range = match random.below(14) {
            0 => "bytes=0-0".to_owned(),
            1 => "bytes=-5".to_owned(),
            2 => format!("bytes=0-{last}"),
            3 => format!("bytes={first}-"),
            4 => format!("bytes={}-{first}", first / 2),
            5 => format!("bytes=0-1, {last}-"),
            6 => "bytes=0-9,10-19, -3".to_owned(),
            7 => format!("bytes={length}-"),
            8 => "bytes=-0".to_owned(),
            9 => "bytes=9-5".to_owned(),
            10 => "lines=0-1".to_owned(),
            11 => format!("bytes={}-{}", 64 * KIB - 2, 64 * KIB + 2),
            12 => format!("bytes={}-{}", 256 * KIB - 2, 256 * KIB + 2),
            _ => "Bytes = 0-5".to_owned(),
        };
        add("range", &range);
        if random.often(40) {
            add(
                "if-range",
                random.one_of(&[
                    "\"v1\"",
                    "\"v1\"",
                    "W/\"v1\"",
                    "\"v0\"",
                    MODIFIED,
                    "Tue, 02 Jan 2024 00:00:00 GMT",
                    "v1",
                ]),
            );
        }
    }
    let dates = [
        MODIFIED,
        "Sun, 31 Dec 2023 23:59:59 GMT",
        "Tue, 02 Jan 2024 00:00:00 GMT",
        "Monday, 01-Jan-24 00:00:00 GMT",
        "yesterday",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    ];
    let tags = [
        "\"v1\"",
        "W/\"v1\"",
        "\"v0\"",
        "\"v0\", W/\"v1\"",
        "\"v0\",\"v1\"",
        "*",
        "v1",
        "",
    ];
    if random.often(20) {
        add("if-none-match", random.one_of(&tags));
    }
    if random.often(15) {
        add("if-modified-since", random.one_of(&dates));
    }
    if random.often(10) {
        add("if-match", random.one_of(&tags));
    }
    if random.often(10) {
        add("if-unmodified-since", random.one_of(&dates));
    }
    if random.often(25) {
        add(
            "cache-control",
            random.one_of(&[
                "no-cache",
                "no-store",
                "max-age=0",
                "max-age=100",
                "max-stale",
                "min-fresh=10",
                "no-transform",
                "only-if-cached",
            ]),
        );
    }
    if random.often(10) {
        add("x-other", random.one_of(&["1", "2"]));
    }
    if random.often(5) {
        add("pragma", "no-cache");
    }
    Question {
        method: random.one_of(&["GET", "GET", "GET", "HEAD"]),
        fields,
        version: random.one_of(&[Version::Http1, Version::Http1, Version::Http2]),
    }
}
