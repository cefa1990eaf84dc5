//! One question to the next server: labelled and judged before each attempt, its answer read, and what is learned by it.

use crate::asked::Asked;
use crate::link;
use crate::pace::Pace;
use crate::shown::withhold_tags;
use crate::standing::Standing;
use crate::tier::TierKind;
use crate::turns::{self, Patience};
use http::{HeaderMap, StatusCode, Version, header};
use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use seawall_cache_store::Head;
use seawall_control_protocol::boottime;
use seawall_http_cache::{Timestamp, strip_hop_by_hop};
use seawall_purge::{Label, ScopeId, Source, tier};
use seawall_service_model::OriginBudget;
use seawall_upstream::{Attempt, Hop, Role, Settling, Turn};
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};
use std::time::Duration;

/// What an exchange learns about its question while it is asked: when, under which label, and what the answer states.
#[derive(Debug)]
pub(crate) struct Asking {
    inner: Mutex<Learned>,
    /// Neighbours are told that nothing from before our S will do.
    insists: bool,
    /// The answer is none that may be used: a purge known here covers it.
    covered: AtomicBool,
}

#[derive(Clone, Debug)]
pub(crate) struct Learned {
    /// When the last attempt began.
    pub(crate) at: Timestamp,
    /// The same by the clock of leases.
    pub(crate) asked: Duration,
    /// The label of this node when it asked.
    pub(crate) own: Label,
    /// What a neighbour stated of its answer; `None` for origins.
    pub(crate) stated: Option<link::Stated>,
    /// What a neighbour's answer can be purged by beyond what shows; `None`: it is not known in full.
    pub(crate) scopes: Option<Arc<[ScopeId]>>,
    pub(crate) role: Role,
    /// The last attempt carried the validators of the copy that the exchange may validate.
    pub(crate) conditional: bool,
    /// The version that the final answer was received in.
    pub(crate) version: Version,
    /// Status of the final answer.
    pub(crate) status: Option<u16>,
    /// The answer's end can be told from a truncation, here and in all tiers behind.
    pub(crate) framed: bool,
}

impl Learned {
    /// Who answered, and what a neighbour states of the answer's age in the log.
    pub(crate) fn source(&self) -> Source {
        match (self.role, self.stated) {
            (Role::Origin, _) => Source::Origin,
            (Role::Shield, Some(link::Stated { label, fetched, .. })) => {
                Source::Neighbour { label, fetched }
            }
            (Role::Shield, None) => Source::Silent,
        }
    }

    /// The label of a copy of this answer.
    pub(crate) fn label(&self) -> Label {
        self.source().label(self.own)
    }

    /// What a neighbour has to know of this answer.
    pub(crate) fn stated(&self) -> link::Stated {
        link::Stated {
            label: self.label(),
            fetched: self.fetched(),
            stale: self.stale(),
            framed: self.framed,
        }
    }

    /// Whether a neighbour says that its answer is stale.
    pub(crate) fn stale(&self) -> bool {
        self.stated.is_some_and(|s| s.stale)
    }

    /// The origin itself has given, or confirmed, the copy `head` in this answer.
    pub(crate) fn confirm(&self, head: &Head) {
        if self.fetched() {
            head.memo.set_confirmed(self.asked);
        }
    }

    /// Whether the origin itself was asked.
    pub(crate) fn fetched(&self) -> bool {
        self.source().fetched()
    }
}

impl Asking {
    pub(crate) fn new(asked: &Asked, insists: bool) -> Arc<Self> {
        Arc::new(Self {
            insists: insists || asked.insists(),
            covered: AtomicBool::new(false),
            inner: Mutex::new(Learned {
                at: asked.received_at,
                asked: Duration::ZERO,
                own: asked.snapshot.label(),
                stated: None,
                scopes: Some(Arc::default()),
                role: Role::Origin,
                conditional: false,
                version: Version::HTTP_11,
                status: None,
                framed: false,
            }),
        })
    }

    pub(crate) fn insists(&self) -> bool {
        self.insists
    }

    /// The answer was covered: it is asked for once more.
    pub(crate) fn set_covered(&self) {
        self.covered.store(true, atomic::Ordering::Release);
    }

    pub(crate) fn is_covered(&self) -> bool {
        self.covered.load(atomic::Ordering::Acquire)
    }

    pub(crate) fn learned(&self) -> Learned {
        self.inner.lock().clone()
    }
}

/// The hook that upstream calls before and after each attempt.
pub(crate) struct Hook {
    pub(crate) asked: Arc<Asked>,
    pub(crate) asking: Arc<Asking>,
    pub(crate) proxy: Arc<crate::CacheProxy>,
    /// The copy whose validators the request carries.
    pub(crate) validates: Option<Arc<Head>>,
    /// The copy whose place the answer takes, usable or not.
    pub(crate) replaces: Option<Arc<Head>>,
    /// What else is done with a final head before it goes on to the client: passes have one, fills do it themselves.
    pub(crate) answer: Option<AnswerHook>,
}

pub(crate) type AnswerHook =
    Box<dyn Fn(&Asked, &mut ResponseHeader) -> Option<Settling> + Send + Sync>;

impl Hook {
    /// The pace of the purge that has taken the copy in whose place the answer comes.
    fn pace(&self) -> Option<Pace> {
        let head = self.replaces.as_ref()?;
        let pace = self.proxy.turns().pace(head.label(), head.scopes())?;
        // the copy lies there until something takes its place, which such answers do not: each would wait for its turn
        let lasts = !self
            .proxy
            .is_unstorable(&self.asked, seawall_client_conn::now());
        lasts.then_some(pace)
    }
}

impl Attempt for Hook {
    fn turn(&self, hop: &Hop) -> Option<Turn> {
        // a change that a client brings about waits for nothing
        if hop.role != Role::Origin || !self.asked.method.is_safe() {
            return None;
        }
        let (budget, pace) = (self.asked.service.origin_budget, self.pace());
        if budget.is_none() && pace.is_none() {
            return None;
        }
        let (proxy, asked) = (self.proxy.clone(), self.asked.clone());
        let patience = if asked.refreshes() {
            Patience::None
        } else {
            Patience::UpTo(budget.map_or(OriginBudget::QUEUE_WAIT, |budget| budget.queue_wait))
        };
        Some(Box::pin(async move {
            let turns = proxy.turns();
            let counters = &proxy.metrics().origin_budget;
            let mut patience = patience;
            if let Some(pace) = pace {
                let turn = turns.of_pace(&pace, patience);
                if let Ok(waits) = turn {
                    patience = patience.less(waits);
                }
                turns::awaited(turn, counters).await?;
            }
            let Some(budget) = budget else {
                return Ok(());
            };
            let turn = turns.of_budget(&asked.service.id, budget.requests_per_second, patience);
            turns::awaited(turn, counters).await
        }))
    }

    fn before(&self, hop: &Hop, fields: &mut HeaderMap) {
        let asked = boottime();
        // S is picked up before the first byte of each attempt
        let snapshot = self.proxy.snapshot();
        let label = snapshot.label();
        let now = seawall_client_conn::now();
        // Then the copy is judged: a purge may have come while we connected, or before this attempt. With the validators
        // of a copy that it covers, a 304 would bring that copy back under a label from after the purge.
        let conditional = self.validates.as_ref().is_some_and(|head| {
            let standing = self.proxy.standing_now(&self.asked, head, now);
            !matches!(standing, Standing::Gone)
        });
        {
            let mut learned = self.asking.inner.lock();
            learned.at = now;
            learned.asked = asked;
            learned.own = label;
            learned.stated = None;
            learned.role = hop.role;
            learned.conditional = conditional;
        }
        link::strip(fields);
        if self.validates.is_some() && !conditional {
            fields.remove(header::IF_NONE_MATCH);
            fields.remove(header::IF_MODIFIED_SINCE);
        }
        match hop.role {
            Role::Shield => {
                let hops = self.asked.hops().saturating_add(1);
                let known = tier::told_on(self.asked.behind, snapshot.told(label));
                let told = self.proxy.purges().told(known);
                let (insists, refreshes) = (self.asking.insists, self.asked.refreshes());
                let reaches = self.asked.since.is_some();
                let scheme = self.asked.scheme;
                link::write_request(fields, scheme, hops, told, insists, refreshes, reaches);
                self.proxy.tier().sign(hop, fields);
            }
            Role::Origin => self.asked.policy().request_headers.apply(fields),
        }
    }

    fn interim(&self, response: &mut ResponseHeader) {
        let mut fields = response.headers.clone();
        strip_hop_by_hop(&mut fields);
        link::strip(&mut fields);
        one_length(response.status, &mut fields);
        if self.proxy.tier().kind() == TierKind::Edge {
            withhold_tags(&self.asked, &mut fields);
        }
        if fields.len() != response.headers.len() {
            crate::message::replace_response_fields(response, fields);
        }
    }

    fn head(&self, _hop: &Hop, response: &mut ResponseHeader) -> Option<Settling> {
        let fields = &response.headers;
        let scopes = link::read_scopes(fields);
        let stated = link::read_answer(fields);
        {
            let mut learned = self.asking.inner.lock();
            // an origin has no word in this
            learned.stated = stated.filter(|_| learned.role == Role::Shield);
            learned.scopes = match learned.role {
                Role::Shield => scopes.map(Into::into),
                Role::Origin => Some(Arc::default()),
            };
            learned.status = Some(response.status.as_u16());
            learned.version = response.version;
            // looked at here: pingora frames anew what it passes on
            learned.framed = learned.stated.is_none_or(|s| s.framed)
                && (fields.contains_key(header::CONTENT_LENGTH)
                    || fields.contains_key(header::TRANSFER_ENCODING)
                    || response.version == http::Version::HTTP_2);
        }
        if link::is_spoken_in(fields) || !has_one_length(response.status, fields) {
            let mut fields = fields.clone();
            link::strip(&mut fields);
            one_length(response.status, &mut fields);
            crate::message::replace_response_fields(response, fields);
        }
        self.answer
            .as_ref()
            .and_then(|answer| answer(&self.asked, response))
    }
}

/// Whether [`one_length`] would change nothing.
fn has_one_length(status: StatusCode, fields: &HeaderMap) -> bool {
    let has_none = status.is_informational() || status == StatusCode::NO_CONTENT;
    fields.get_all(header::CONTENT_LENGTH).iter().count() <= usize::from(!has_none)
}

/// RFC 9110 §8.6: a length is told once, and not by what has no content at all.
fn one_length(status: StatusCode, fields: &mut HeaderMap) {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        fields.remove(header::CONTENT_LENGTH);
    } else if fields.get_all(header::CONTENT_LENGTH).iter().count() > 1
        && let Some(length) = fields.get(header::CONTENT_LENGTH).cloned()
    {
        // they say the same, or it would not have come this far
        fields.insert(header::CONTENT_LENGTH, length);
    }
}
