//! A copy that was found answers, as it is or recoded for this client.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::coder;
use crate::copy::CopyHead;
use crate::deliver::{Delivered, Story, deliver, takes_body};
use crate::growing::Reader;
use crate::held::Held;
use crate::source::{Broken, Source};
use crate::tier::TierKind;
use http::HeaderMap;
use seawall_cache_store::{Coding, Head, Recoding, recoded_variant};
use seawall_client_conn::{Exchange, Wire};
use seawall_http_cache::{AcceptEncoding, Freshness, Outcome};
use seawall_purge::Generation;
use std::sync::Arc;

/// A stored copy, and as how fresh it may be used.
#[derive(Clone, Copy)]
pub(super) struct Usable<'a> {
    pub(super) head: &'a Arc<Head>,
    pub(super) variant: u64,
    pub(super) freshness: &'a Freshness,
    /// It is what lies in the store. One that is not is for this client alone, and no coding of it is made.
    pub(super) kept: bool,
    /// The origin was asked for it just now.
    pub(super) fetched: bool,
    /// What else this client gets, and no other.
    pub(super) withheld: Option<&'a HeaderMap>,
}

impl<'a> Usable<'a> {
    /// A copy that lies in the store, as fresh as `freshness` says.
    pub(super) fn kept(head: &'a Arc<Head>, variant: u64, freshness: &'a Freshness) -> Self {
        Self {
            head,
            variant,
            freshness,
            kept: true,
            fetched: false,
            withheld: None,
        }
    }
}

/// What is made of a copy with this coding for this client. `None`: it goes out as it is.
pub(crate) fn wanted(
    proxy: &CacheProxy,
    asked: &Asked,
    coding: Coding,
    generation: Generation,
) -> Option<Recoding> {
    // RFC 9111 §5.2.1.6
    if proxy.tier().kind() != TierKind::Edge || asked.directives.no_transform {
        return None;
    }
    let read = || AcceptEncoding::of(&*asked.fields);
    let accept = || asked.accepts.unwrap_or_else(read);
    let wanted = coder::wanted(coding, asked.policy(), accept)?;
    (!proxy.undecodable().contains(generation)).then_some(wanted)
}

pub(super) async fn stored_copy<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    copy: Usable<'_>,
    outcome: Outcome,
) -> Option<Delivered> {
    stored_story(proxy, x, asked, copy, Story::hit(outcome)).await
}

/// Delivers a stored copy. `None`: nothing was sent, since what is wanted of its body was lost and cannot be had now.
pub(super) async fn stored_story<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    copy: Usable<'_>,
    story: Story,
) -> Option<Delivered> {
    let (head, slot) = (copy.head, (asked.key.0, copy.variant));
    let source = Source::stored(proxy, asked, x.stop(), slot, head);
    let mut as_is = CopyHead::of_stored(head, copy.freshness);
    as_is.stored = copy.kept;
    as_is.fetched = copy.fetched;
    match wanted(proxy, asked, head.coding(), head.generation()).filter(|_| copy.kept) {
        Some(recoding) => {
            let recoded = recoded_story(proxy, x, asked, copy, (as_is, source), recoding, story);
            Box::pin(recoded).await
        }
        None => deliver(proxy, x.wire(), asked, &as_is, source, story, copy.withheld).await,
    }
}

/// The same by `recoding`; `as_is`: the copy without it.
async fn recoded_story<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    copy: Usable<'_>,
    as_is: (CopyHead, Source),
    recoding: Recoding,
    mut story: Story,
) -> Option<Delivered> {
    let Usable {
        head,
        variant,
        freshness,
        withheld,
        ..
    } = copy;
    let (mut as_is, mut source) = as_is;
    let (store, key) = (proxy.store(), asked.key.0);
    let coded = store.recoded_of_generation(key, variant, head, recoding);
    let coded = coded.map(|coded| {
        let current = Coding::Recoded(recoding, head.generation(), head.revision);
        if coded.coding() == current {
            coded
        } else {
            coder::refresh(proxy, key, variant, head, &coded, recoding)
        }
    });
    if let Some(coded) = coded {
        let slot = (key, recoded_variant(variant, recoding));
        let source = Source::stored(proxy, asked, x.stop(), slot, &coded);
        let coded = CopyHead::of_stored(&coded, freshness);
        let delivered = deliver(proxy, x.wire(), asked, &coded, source, story, withheld).await;
        if delivered.is_some() {
            return delivered;
        }
        // it has a hole, or its disk is busy: coded once more
    }
    let recoded = coder::recoded(&as_is, recoding);
    if withheld.is_none() && !takes_body(asked, &recoded) {
        // RFC 9110 §9.3.2, §15.4.5: all but the length is known without it, and that may be left out
        let nothing = Source::ready(Vec::new());
        return deliver(proxy, x.wire(), asked, &recoded, nothing, story, None).await;
    }
    let whole = 0..head.length;
    match source.begin(x.wire(), std::slice::from_ref(&whole)).await {
        Ok(Held::All) => {}
        Ok(Held::Partial) => story = story.partial(),
        Err(Broken::Client) => return Some(Delivered::nothing()),
        Err(Broken::Fill | Broken::Gone) => return None,
    }
    let mut source = Some(source);
    let taken = || source.take().unwrap_or_else(|| Source::ready(Vec::new()));
    let (head, source) = match coder::follow(proxy, asked, &as_is, recoding, taken) {
        Some((head, reader)) => (head, Source::Following(reader)),
        // nobody took it
        None => {
            as_is.whole_only = true;
            (Arc::new(as_is), source?)
        }
    };
    deliver(proxy, x.wire(), asked, &head, source, story, withheld).await
}

/// Delivers a copy while it grows.
pub(super) async fn growing<W: Wire>(
    proxy: &Arc<CacheProxy>,
    x: &mut Exchange<W>,
    asked: &Arc<Asked>,
    head: &Arc<CopyHead>,
    reader: Reader,
    story: Story,
    withheld: Option<&HeaderMap>,
) -> Delivered {
    let Some(recoding) = wanted(proxy, asked, head.coding, head.generation) else {
        let source = Source::Following(reader);
        let delivered = deliver(proxy, x.wire(), asked, head, source, story, withheld).await;
        return delivered.unwrap_or_else(Delivered::nothing);
    };
    let recoded = coder::recoded(head, recoding);
    let (head, reader) = if withheld.is_none() && !takes_body(asked, &recoded) {
        (Arc::new(recoded), reader)
    } else {
        let copy = || Source::Following(reader.another());
        match coder::follow(proxy, asked, head, recoding, copy) {
            Some(coded) => {
                // one that is not read would hold the copy up
                drop(reader);
                coded
            }
            None => {
                let mut as_is = CopyHead::clone(head);
                as_is.whole_only = true;
                (Arc::new(as_is), reader)
            }
        }
    };
    let source = Source::Following(reader);
    let delivered = deliver(proxy, x.wire(), asked, &head, source, story, withheld).await;
    delivered.unwrap_or_else(Delivered::nothing)
}
