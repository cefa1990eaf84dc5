//! How a request would be answered, and why, without anybody being asked and anything being changed.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::judged::{Judged, Lack, Next};
use crate::last::Decided;
use crate::link;
use crate::placing::Placing;
use crate::standing::Standing;
use crate::tier::{Link, TierKind};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use pingora_timeout::timeout;
use seawall_cache_store::{Coding, Found, Head, Kept, Place, View};
use seawall_client_conn::{ConnInfo, Protocol};
use seawall_control_protocol::explain::{
    ASKS_MAX, COPIES_MAX, COPY_FIELDS_MAX, Covering, Decision, ExplainGet, Explained, PURGES_MAX,
    Standing as Stands, StoredCopy, Would, cut,
};
use seawall_http_cache::{Forward, Freshness, Outcome, Timestamp, Why, serves_on_error};
use seawall_purge::{Scope, ScopeId, Verdict};
use seawall_service_model::{CacheMode, Scheme, any_query_scope, each_scope, tags};
use seawall_upstream::{Hop, Role};
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Heads that are read from disks for one explanation, and how long all of them may take.
const READS_MAX: usize = 16;
const READS_WAIT: Duration = Duration::from_millis(1000);

/// The fields that decide how long a copy is fresh, which requests it is for, and how it is validated.
const TOLD: [&str; 13] = [
    "seawall-cache-control",
    "cdn-cache-control",
    "surrogate-control",
    "cache-control",
    "expires",
    "date",
    "last-modified",
    "etag",
    "vary",
    "content-type",
    "content-encoding",
    "no-vary-search",
    "set-cookie",
];

impl CacheProxy {
    /// How a GET of this would be answered now.
    pub(crate) async fn explain(&self, get: &ExplainGet) -> Result<Explained, String> {
        let asked = self.suppose(get)?;
        let key = asked.key.0;
        let viewed = timeout(
            READS_WAIT,
            self.store().view(key, &*asked.fields, READS_MAX),
        );
        let view = match viewed.await {
            Ok(view) => view,
            // what memory alone has
            Err(_) => self.store().view(key, &*asked.fields, 0).await,
        };
        let now = seawall_client_conn::now();
        let of_request = named_by_request(&asked);
        let copy = |(index, kept): (usize, &Kept)| {
            let selected = view.selected && index == 0;
            self.copy(&asked, kept, selected, &of_request, now)
        };
        let shown = view.copies.iter().take(COPIES_MAX);
        let copies: Vec<StoredCopy> = shown.enumerate().map(copy).collect();
        let decisions = self.last().of(key).into_iter().map(decision);
        Ok(Explained {
            service: asked.service.id.0.to_string(),
            rule: asked.rule.map(|rule| rule as u32),
            key,
            purged: asked.snapshot.purges.at(),
            would: self.would(&asked, &view, now),
            asks: self.asks(&asked),
            unread: (view.unread + view.copies.len() - copies.len()) as u32,
            copies,
            purges: covering(&asked, &of_request),
            decisions: decisions.collect(),
        })
    }

    /// The request, as if it had come: to an edge from a client, to a shield from an edge that knows as much as it.
    fn suppose(&self, get: &ExplainGet) -> Result<Asked, String> {
        let snapshot = self.snapshot().clone();
        let host =
            HeaderValue::from_str(&get.host).map_err(|_| "the host is no host".to_owned())?;
        let mut fields = HeaderMap::new();
        for (name, value) in &get.fields {
            let name = HeaderName::from_bytes(name.as_bytes());
            match (name, HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => fields.append(name, value),
                _ => return Err("a header is none".to_owned()),
            };
        }
        link::strip(&mut fields);
        fields.insert(header::HOST, host);
        let Some(service) = snapshot.services.find(get.host.as_bytes()).cloned() else {
            return Err(format!("no service for host {}", get.host));
        };
        let scheme = if get.scheme == "https" {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let info = ConnInfo {
            peer: nobody,
            local: nobody,
            scheme: match scheme {
                Scheme::Http => seawall_client_conn::Scheme::Http,
                Scheme::Https => seawall_client_conn::Scheme::Https,
            },
            protocol: Protocol::Http1,
            client_identity: None,
        };
        let link = match self.tier().kind() {
            TierKind::Edge => Link::Client,
            TierKind::Shield => Link::Fleet {
                scheme,
                hops: 1,
                sequence: snapshot.purges.at(),
                insists: false,
                refreshes: false,
            },
        };
        Ok(self.placed(Placing {
            snapshot,
            service,
            info: Arc::new(info),
            link,
            scheme,
            method: Method::GET,
            version: Version::HTTP_11,
            host: get.host.clone().into_bytes(),
            target: get.target.clone(),
            fields,
            received: Instant::now(),
        }))
    }

    /// In the order of an exchange, and judged by the same function.
    fn would(&self, asked: &Asked, view: &View, now: Timestamp) -> Would {
        if asked.policy().cache == CacheMode::Bypass {
            let why = "the rule says so: nothing is looked up or stored";
            return forwards(Outcome::Bypass, Forward::Bypass, why.to_owned());
        }
        let found = found(view);
        let judged = self.judge(asked, &found, None, now);
        let mut why = self.reason(&found, &judged, now);
        let (forward, stored) = match judged {
            Judged::Answers(copy, outcome) if !copy.head.is_incomplete() => {
                return Would {
                    outcome: outcome.as_str().to_owned(),
                    forward: String::new(),
                    why,
                };
            }
            Judged::Answers(..) => {
                why +=
                    "; some of its body has never come: what a request wants of that is asked for";
                (Lack::Lost.forward(), None)
            }
            Judged::Validates(copy, forward) => (forward, Some(copy.stored())),
            Judged::Lacks(lack) => (lack.forward(), None),
        };
        if view.unread > 0 && !matches!(found, Found::Copy { .. }) {
            why += "; a disk may have more";
        }
        let head = match &found {
            Found::Copy { head, .. } => Some(&**head),
            Found::OtherVariants | Found::Nothing => None,
        };
        let key = asked.key.0;
        let fill = self.fill_key(asked, key, key, head);
        match self.next(asked, stored.as_ref(), &fill, false, now) {
            Next::Refused => Would {
                outcome: Outcome::Error.as_str().to_owned(),
                forward: String::new(),
                why: why + "; only-if-cached is answered with 504",
            },
            Next::Passes => forwards(Outcome::Pass, forward, why),
            Next::Fills { alone: true, .. } => {
                why += "; the last answer could not be stored";
                forwards(Outcome::Unstorable, forward, why)
            }
            Next::Fills { alone: false, .. } => forwards(Outcome::Miss, forward, why),
        }
    }

    /// Why it is judged so.
    fn reason(&self, found: &Found, judged: &Judged<'_>, now: Timestamp) -> String {
        let copy = match judged {
            Judged::Answers(copy, _) | Judged::Validates(copy, _) => copy,
            Judged::Lacks(lack) => return self.lack_in_words(found, *lack).to_owned(),
        };
        let mut reason = in_words(&copy.freshness, copy.why, now);
        if matches!(copy.freshness, Cow::Owned(_)) {
            reason = format!("a soft purge made the copy stale: {reason}");
        }
        let validates = matches!(judged, Judged::Validates(..));
        if validates && serves_on_error(&copy.freshness, &copy.directives, now) {
            reason += "; it would answer for an error of the next server";
        }
        reason
    }

    fn lack_in_words(&self, found: &Found, lack: Lack) -> &'static str {
        let before = match found {
            Found::Copy { head, .. } => head.generation.boot != self.store().boot(),
            Found::OtherVariants | Found::Nothing => false,
        };
        match lack {
            Lack::Nothing => "nothing is stored under the key",
            Lack::OtherVariants => "none of the variants under the key is for these fields",
            Lack::Gone if before && !self.purges().serves_stored() => {
                "the copy is from before the node's start, and which purges it missed is not known yet"
            }
            Lack::Gone => "a purge covers the copy",
            Lack::Lost => "the copy has lost what the request wants",
        }
    }

    fn asks(&self, asked: &Asked) -> Vec<String> {
        let key = asked.key.hash64();
        let mut names = self.tier().shields(&asked.service, key);
        if names.is_empty() {
            let hops = self.tier().hops(&asked.service, key);
            let origin = |hop: &Hop| {
                let spec = hop.target.spec();
                (hop.role == Role::Origin).then(|| format!("{}:{}", spec.host, spec.port))
            };
            names = hops.iter().filter_map(origin).collect();
        }
        names.truncate(ASKS_MAX);
        names
    }

    fn copy(
        &self,
        asked: &Asked,
        kept: &Kept,
        selected: bool,
        of_request: &[Named],
        now: Timestamp,
    ) -> StoredCopy {
        let head = &kept.head;
        let standing = match self.standing(asked, head, now) {
            Standing::Gone => Stands::Gone,
            Standing::Usable(Cow::Borrowed(_)) => Stands::Live,
            Standing::Usable(Cow::Owned(_)) => Stands::Stale {
                since_ms: match asked.snapshot.purges.judge(head.label, &head.scopes) {
                    Verdict::Stale { since_ms } => head.memo.stale_since(since_ms),
                    Verdict::Live | Verdict::Gone => 0,
                },
            },
        };
        let fields = head.original_fields().fields;
        let line = |name: &'static str| {
            let lines = fields.get_all(name).into_iter();
            lines.map(move |value| {
                // who may ask for this need not be who may hold somebody's session
                let value = match name {
                    "set-cookie" => "(not shown)".to_owned(),
                    _ => text(value.as_bytes()),
                };
                (name.to_owned(), value)
            })
        };
        let told = TOLD.into_iter().flat_map(line).take(COPY_FIELDS_MAX);
        let Freshness {
            lifetime,
            source,
            initial_age,
            received,
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
        } = head.freshness;
        StoredCopy {
            variant: kept.variant,
            selected,
            on_disk: kept.place == Place::Disk,
            status: head.status.as_u16(),
            length: head.length,
            negotiable: head.coding == Coding::Negotiable,
            received: received.0,
            initial_age,
            age: head.freshness.age(now),
            lifetime,
            lifetime_source: source.as_str().to_owned(),
            stale_while_revalidate,
            stale_if_error,
            no_cache,
            must_revalidate,
            label: head.label,
            generation: head.generation,
            revision: head.revision,
            standing,
            fields: told.collect(),
            purges: covering(asked, &named_by_copy(asked, head, &fields, of_request)),
        }
    }
}

/// What a lookup would find.
fn found(view: &View) -> Found {
    match view.copies.first().filter(|_| view.selected) {
        Some(kept) => Found::Copy {
            head: kept.head.clone(),
            variant: kept.variant,
        },
        None if view.varies => Found::OtherVariants,
        None => Found::Nothing,
    }
}

fn forwards(outcome: Outcome, forward: Forward, why: String) -> Would {
    Would {
        outcome: outcome.as_str().to_owned(),
        forward: forward.as_str().to_owned(),
        why,
    }
}

fn in_words(fresh: &Freshness, decides: Why, now: Timestamp) -> String {
    let age = fresh.age(now);
    let (left, stale) = (
        fresh.lifetime.saturating_sub(age),
        age.saturating_sub(fresh.lifetime),
    );
    let window = fresh.stale_while_revalidate;
    match decides {
        Why::Fresh => format!("the copy is fresh for {left} s more"),
        Why::Window => format!(
            "the copy is stale since {stale} s, within stale-while-revalidate of {window} s: it is refreshed beside"
        ),
        Why::Accepted => format!("the copy is stale since {stale} s, which the request accepts"),
        Why::NoCache => "the copy's no-cache wants a validation each time".to_owned(),
        Why::RequestNoCache => "the request's no-cache wants a validation".to_owned(),
        Why::RequestMaxAge => format!("the copy is {age} s old, more than the request's max-age"),
        Why::RequestMinFresh => {
            format!("the copy is fresh for {left} s more, less than the request's min-fresh")
        }
        Why::MustRevalidate => format!(
            "the copy is stale since {stale} s, and must-revalidate, proxy-revalidate or s-maxage forbid its use"
        ),
        Why::RequestTakesNoStale => {
            format!("the copy is stale since {stale} s, which the request does not take")
        }
        Why::NoLifetime => "nothing gives the copy a lifetime".to_owned(),
        Why::Stale if window > 0 => {
            format!(
                "the copy is stale since {stale} s, beyond stale-while-revalidate of {window} s"
            )
        }
        Why::Stale => format!("the copy is stale since {stale} s"),
    }
}

/// A scope with its name.
struct Named {
    kind: &'static str,
    name: String,
    id: ScopeId,
}

impl Named {
    fn of(scope: &Scope<'_>) -> Self {
        Self {
            kind: scope.kind(),
            name: scope.name(),
            id: scope.id(),
        }
    }
}

fn named_by_request(asked: &Asked) -> Vec<Named> {
    let mut named = Vec::with_capacity(16);
    let rules = asked.key_rules();
    // one that is too deep is not stored
    let _ = each_scope(&asked.service, &asked.host, &asked.target, rules, |scope| {
        named.push(Named::of(&scope));
    });
    named
}

/// The scopes of a copy beyond those of the request: its tags, and what it took over.
fn named_by_copy(
    asked: &Asked,
    head: &Head,
    fields: &HeaderMap,
    of_request: &[Named],
) -> Vec<Named> {
    let service = &asked.service.id.0;
    let of_fields = tags(fields).unwrap_or_default();
    let of_fields = of_fields
        .iter()
        .map(|tag| Named::of(&Scope::Tag { service, tag }));
    let mut named: Vec<Named> = of_fields.collect();
    let any_query = any_query_scope(&asked.host, &asked.target);
    let known: HashSet<ScopeId> = named.iter().chain(of_request).map(|n| n.id).collect();
    let others = head.scopes.iter().filter(|id| !known.contains(id));
    named.extend(others.map(|&id| Named {
        kind: if id == any_query { "any-query" } else { "tag" },
        // which it is a neighbour knows, or an answer that it came in the place of
        name: String::new(),
        id,
    }));
    named.retain(|named| head.scopes.contains(&named.id));
    named
}

/// The last purges of what is named, latest first.
fn covering(asked: &Asked, named: &[Named]) -> Vec<Covering> {
    let table = &asked.snapshot.purges;
    let mut floor = 0;
    let mut all: Vec<Covering> = Vec::new();
    for Named { kind, name, id } in named {
        let last = table.last(*id);
        floor = floor.max(last.floor);
        let n = last.hard.max(last.soft);
        if n > 0 {
            all.push(Covering {
                kind: (*kind).to_owned(),
                name: cut(name.clone()),
                n,
                soft: last.soft > last.hard,
            });
        }
    }
    if floor > 0 {
        all.push(Covering {
            kind: "floor".to_owned(),
            name: String::new(),
            n: floor,
            soft: false,
        });
    }
    all.sort_by_key(|covering| std::cmp::Reverse(covering.n));
    all.truncate(PURGES_MAX);
    all
}

fn decision(decided: Decided) -> Decision {
    Decision {
        at_ms: decided.at_ms,
        method: cut(decided.method.as_str().to_owned()),
        outcome: decided.outcome.as_str().to_owned(),
        status: decided.status,
        forward: decided.forward.map_or("", Forward::as_str).to_owned(),
        forward_status: decided.forward_status,
        stored: decided.stored,
        collapsed: decided.collapsed,
        detail: cut(decided.detail.unwrap_or_default().into_owned()),
    }
}

fn text(bytes: &[u8]) -> String {
    cut(String::from_utf8_lossy(bytes).into_owned())
}
