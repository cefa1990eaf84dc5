//! What an answer may be. Judged by what the origin made and when, not by what nodes say of it.

use crate::script::call::Call;
use crate::script::client::Client;
use crate::script::message::Head;
use crate::script::node::EPOCH;
use crate::script::origin::{LIFETIME, PIECE, Production, TAGS, WINDOW, body};
use crate::script::step::{Asks, What};
use crate::script::world::{Appended, SHIELD, World, scopes};
use seawall_purge::PurgeSeq;

/// What an answer is allowed, and what is met in it; or what is wrong with it.
pub type Judged = Result<Vec<&'static str>, String>;

/// The productions that have a part in an answer, by their numbers.
pub fn parts(head: &Head) -> Vec<usize> {
    let number = |name: &str| name.strip_prefix("x-p")?.parse().ok();
    let names = head.fields.iter().filter_map(|(name, _)| number(name));
    let mut parts: Vec<usize> = names.collect();
    parts.sort_unstable();
    parts
}

/// An answer, as productions.
struct Told<'w> {
    /// What its content came with.
    base: &'w Production,
    /// The last word of the origin in it.
    latest: &'w Production,
    latest_number: usize,
    parts: Vec<&'w Production>,
}

impl<'w> Told<'w> {
    fn of(world: &'w World, parts: &[usize], base: usize) -> Option<Self> {
        let latest_number = *parts.last()?;
        let parts: Option<Vec<_>> = parts.iter().map(|n| world.made.get(n - 1)).collect();
        let parts = parts?;
        Some(Self {
            base: world.made.get(base - 1)?,
            latest: parts.last()?,
            latest_number,
            parts,
        })
    }

    /// Whether `purge` covers it, by what the origin had said before that.
    fn is_covered(&self, purge: &Appended, inherited: [bool; 2]) -> bool {
        match purge.what {
            What::Url => true,
            What::Tag(tag) => {
                let mut before = self.parts.iter().filter(|made| made.step < purge.step);
                before.any(|made| made.tags[tag]) || (inherited[tag] && self.base.step < purge.step)
            }
        }
    }

    /// The first of `log` that takes it: its content is from before a hard one.
    fn taken<'l>(&self, log: &'l [Appended], inherited: [bool; 2]) -> Option<&'l Appended> {
        log.iter().find(|purge| {
            !purge.soft && self.base.step < purge.step && self.is_covered(purge, inherited)
        })
    }

    /// Since when it is stale by `log`: it was validated before a soft purge.
    fn stale_since(&self, log: &[Appended], inherited: [bool; 2]) -> Option<u64> {
        let soft = log.iter().filter(|purge| {
            purge.soft && self.latest.step < purge.step && self.is_covered(purge, inherited)
        });
        soft.map(|purge| purge.clock).min()
    }
}

/// Whether some cache says that what it gave was stale.
fn is_marked_stale(status: &str) -> bool {
    status.contains("ttl=-") || status.contains("ttl=0")
}

/// A client has an answer, or as much of it as will come.
pub fn answer(world: &World, client: &Client) -> Judged {
    let whole = client.is_whole();
    if !whole && world.failures.is_empty() {
        return Err("an answer breaks off where nothing was lost".into());
    }
    let Some(head) = &client.head else {
        return Ok(Vec::new());
    };
    let mut met = Vec::new();
    let status = head.field("cache-status").unwrap_or_default();
    let edge = status.rsplit(", ").next().unwrap_or_default();
    if edge.contains("collapsed") {
        met.push("a join at the edge");
    }
    let parts = parts(head);
    if parts.is_empty() {
        // a 304 to a client is short, and errors of our own are of no origin
        return if head.status() == 304 || head.status() >= 500 {
            Ok(met)
        } else {
            Err("an answer that nobody made".into())
        };
    }
    let base = content(client, head, &parts)?;
    let Some(told) = Told::of(world, &parts, base) else {
        return Err("an answer that was never made".into());
    };
    match (head.status(), client.asks) {
        (206, _) => met.push("a range of a copy"),
        (_, Asks::Head) => met.push("a HEAD"),
        (404, _) => met.push("an error of the origin"),
        _ => {}
    }
    if !told.base.may_be_stored {
        met.push("an answer that may not be stored");
    }
    if told.parts.iter().any(|made| made.tags != told.base.tags) {
        met.push("a copy whose tags have changed");
    }
    let known = &world.log[..client.at as usize];
    let inherited = world.inherited(client.edge, base);
    if inherited != [false; 2] {
        met.push("an error in the place of a copy");
    }
    if let Some(purge) = told.taken(known, inherited) {
        return Err(format!(
            "content from step {} answers who asked after the hard purge {} of step {}",
            told.base.step, purge.purge.at, purge.step
        ));
    }
    let soft = told.stale_since(known, inherited);
    let expired = told.latest.clock + LIFETIME;
    let is_hit = edge.contains("; hit");
    let expired = (is_hit && expired <= client.clock).then_some(expired);
    if let Some(since) = soft.into_iter().chain(expired).min() {
        met.extend(stale(world, client, &told, (soft, since), status)?);
    }
    age(world, client, &told, head)?;
    Ok(met)
}

/// The production that an answer's content is of; an error where that is mixed.
fn content(client: &Client, head: &Head, parts: &[usize]) -> Result<usize, String> {
    let number = client.got.get(1..PIECE - 1);
    let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let Some(number) = number else {
        return Ok(parts[0]);
    };
    if !parts.contains(&number) {
        return Err(format!(
            "the content of {number} under the head of {parts:?}"
        ));
    }
    let [first, second] = body(number);
    let expect = match head.status() {
        206 => first,
        _ => [first, second].concat(),
    };
    if !expect.starts_with(&client.got) || (client.is_whole() && client.got != expect) {
        return Err("content that nobody made".into());
    }
    Ok(number)
}

/// A stale copy is used where that was granted, and says so.
fn stale(
    world: &World,
    client: &Client,
    told: &Told<'_>,
    (soft, since): (Option<u64>, u64),
    status: &str,
) -> Judged {
    let mut met = Vec::new();
    let within = client.clock <= since + WINDOW;
    let [while_refreshed, on_error] = told.latest.grants;
    let latest = told.latest_number;
    let failed = world.is_of_an_error(client.edge, latest);
    if client.asks == Asks::MaxStale && soft.is_none() {
        return Ok(met);
    }
    if within && on_error && failed {
        let meanwhile = |step: &usize| *step > client.step;
        if soft.is_some() {
            met.push("a softly purged copy on an error");
        }
        if world.applied[client.edge].iter().any(meanwhile) {
            met.push("a stale copy on an error, and a purge meanwhile");
        }
    } else if within && while_refreshed {
        if soft.is_some() {
            met.push("a softly purged copy while it is refreshed");
        }
    } else {
        return Err(format!(
            "what is stale since {since} is used at {} with {:?}",
            client.clock, told.latest
        ));
    }
    if !is_marked_stale(status) {
        return Err(format!("a stale copy is not said to be so: {status}"));
    }
    Ok(met)
}

/// An answer is as old as it says, in seconds: no younger than the origin's last word, no older than its first. Each tier
/// counts the time that it waited as if the answer had been made before (RFC 9111 §4.2.3).
fn age(world: &World, client: &Client, told: &Told<'_>, head: &Head) -> Result<(), String> {
    let stated = head.field("age").map_or(Ok(0), str::parse::<u64>);
    let Ok(stated) = stated else {
        return Err("an Age that is no number".into());
    };
    let most = 2 * (world.clock - told.base.asked);
    let least = client.clock.saturating_sub(told.latest.clock);
    if stated < least || stated > most {
        return Err(format!("an Age of {stated}, not of {least} to {most}"));
    }
    Ok(())
}

/// The shield's answer on its way to an edge.
pub fn link(world: &World, call: &Call) -> Judged {
    let (Some(head), Some(request)) = (&call.head, &call.request) else {
        return Ok(Vec::new());
    };
    let mut met = Vec::new();
    let status = head.field("cache-status").unwrap_or_default();
    if status.contains("collapsed") {
        met.push("a join at the shield");
    }
    if status.contains("refused") {
        return Ok(met);
    }
    let position = |head: &Head, name: &str| -> Option<PurgeSeq> {
        let position: PurgeSeq = head.field(name)?.parse().ok()?;
        (position.epoch == EPOCH).then_some(position)
    };
    let Some(asked_at) = position(request, "seawall-sequence") else {
        return Err("a request of an edge without its position".into());
    };
    let parts = parts(head);
    let Some(label) = position(head, "seawall-label") else {
        return if parts.is_empty() && head.status() >= 500 {
            // an error of the shield's own, which nobody stores
            Ok(met)
        } else {
            Err("an answer between tiers without a label".into())
        };
    };
    if label.n > asked_at.n.max(world.nodes[SHIELD].at) {
        return Err(format!("a label that nobody knows: {label}"));
    }
    let Some(told) = parts
        .first()
        .and_then(|base| Told::of(world, &parts, *base))
    else {
        return Ok(met);
    };
    let fetched = head.field("seawall-fetched").is_some();
    if head.status() == 304 {
        met.push(if fetched {
            "a 304 of the shield, fetched"
        } else {
            "a 304 of the shield's own"
        });
    }
    let since = call.through.map_or(0, |(step, _)| step);
    if fetched && told.latest.step <= since {
        return Err("what is said to be fetched is from before the request".into());
    }
    let covers = if fetched {
        label.n.max(asked_at.n)
    } else {
        label.n
    };
    let known = &world.log[..(covers as usize).min(world.log.len())];
    let inherited = world.inherited(SHIELD, parts[0]);
    if let Some(purge) = told.taken(known, inherited) {
        return Err(format!(
            "content from step {} under the label {label} goes to an edge at {asked_at}; the hard purge {} is of step {}",
            told.base.step, purge.purge.at, purge.step
        ));
    }
    if told.stale_since(known, inherited).is_some() {
        return Err(format!(
            "what was validated in step {} has the label {label} of a later soft purge",
            told.latest.step
        ));
    }
    scopes_are_told(head, &told, inherited)?;
    Ok(met)
}

/// Every tag that an answer can be purged by is one of its own or stated.
fn scopes_are_told(head: &Head, told: &Told<'_>, inherited: [bool; 2]) -> Result<(), String> {
    let own: Vec<&str> = head
        .field("surrogate-key")
        .unwrap_or_default()
        .split(' ')
        .collect();
    let stated: Vec<&str> = head
        .field("seawall-scopes")
        .unwrap_or_default()
        .split(' ')
        .collect();
    for (place, tag) in TAGS.iter().enumerate() {
        let carried = inherited[place] || told.parts.iter().any(|made| made.tags[place]);
        let id = format!("{:016x}", scopes(What::Tag(place))[0].0);
        if carried && !own.contains(tag) && !stated.contains(&id.as_str()) {
            return Err(format!(
                "the tag {tag} of an answer is not told to the edge"
            ));
        }
    }
    Ok(())
}
